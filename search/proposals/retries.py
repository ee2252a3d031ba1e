"""Retries of lost trials, and candidates from the Pareto front of an earlier run (``--from``).

A trial is lost through an accident, because a target was unavailable, or because changed budgets reopened it.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.proposal import Proposal, choices_of
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.space import ScriptedChoices, Space


def propose(history: History, space: Space, away: Collection[str]) -> Proposal | None:
    """The first lost candidate, with its choices, that is not in flight and does not wait for a target in ``away``."""
    if not history.lost:
        return None
    found = (trial for trial in lost(history.trials) if not history.runs(trial.candidate.key))
    trial = next((trial for trial in found if trial.waits_for not in away), None)
    if trial is None:
        return None
    return Proposal(trial.origin, space, ScriptedChoices(choices_of(trial)), trial.candidate)


def from_earlier(history: History, space: Space, earlier: Sequence[Trial]) -> Proposal | None:
    """The first candidate of an earlier run that is new to this run; ``None`` until the baseline is scored.

    Candidates that break the rules for this model are skipped.
    """
    if find_baseline(history.trials) is None:
        return None
    for trial in earlier:
        if not history.knows(trial.candidate.key) and not broken_rules(trial.candidate, space.around):
            return Proposal("earlier", space, ScriptedChoices(choices_of(trial)), trial.candidate)
    return None


def lost(trials: Sequence[Trial]) -> list[Trial]:
    """The last lost trial of each candidate without a result, in the order of the candidates' first losses.

    Candidates that were lost in ``most_losses`` accidents or more are left out.
    """
    answered = {trial.candidate.key for trial in trials if trial.state is not State.LOST}
    own = [trial for trial in trials if trial.duplicate_of is None]  # the loss of a duplicate does not count
    accidents = Counter(t.candidate.key for t in own if t.state is State.LOST and t.waits_for is None)
    found: dict[str, Trial] = {}
    for trial in own:
        key = trial.candidate.key
        known = bool(trial.candidate.steps)  # empty if the search was killed before the candidate was written
        again = accidents[key] < POLICY.retries.most_losses
        if trial.state is State.LOST and known and key not in answered and again:
            found[key] = trial
    return list(found.values())


def waiting(trials: Sequence[Trial]) -> list[Trial]:
    """The lost trials that wait for a target which became unavailable."""
    return [trial for trial in lost(trials) if trial.waits_for is not None]
