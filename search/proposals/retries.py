"""What is asked again: lost trials, because of an accident, a target that was away, or budgets that have changed; and the
front of an earlier run (``--from``).
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
    """The first lost candidate, by the same choices, that is not in flight and needs no target which is ``away``."""
    if not history.lost:
        return None
    found = (trial for trial in lost(history.trials) if not history.runs(trial.candidate.key))
    trial = next((trial for trial in found if trial.waits_for not in away), None)
    if trial is None:
        return None
    return Proposal(trial.origin, space, ScriptedChoices(choices_of(trial)), trial.candidate)


def from_earlier(history: History, space: Space, earlier: Sequence[Trial]) -> Proposal | None:
    """The first candidate of an earlier run that has no answer here, once the baseline is scored.

    What the rules of this model do not allow is left out.
    """
    if find_baseline(history.trials) is None:
        return None
    for trial in earlier:
        if not history.knows(trial.candidate.key) and not broken_rules(trial.candidate, space.around):
            return Proposal("earlier", space, ScriptedChoices(choices_of(trial)), trial.candidate)
    return None


def lost(trials: Sequence[Trial]) -> list[Trial]:
    """The last loss of each candidate without an answer, in the order of the first ones. Repeated accidents are left out."""
    answered = {trial.candidate.key for trial in trials if trial.state is not State.LOST}
    own = [trial for trial in trials if trial.duplicate_of is None]  # a repeated answer was no loss of its own
    accidents = Counter(t.candidate.key for t in own if t.state is State.LOST and t.waits_for is None)
    found: dict[str, Trial] = {}
    for trial in own:
        key = trial.candidate.key
        known = bool(trial.candidate.steps)  # else the search died before it was written down
        again = accidents[key] < POLICY.retries.most_losses
        if trial.state is State.LOST and known and key not in answered and again:
            found[key] = trial
    return list(found.values())


def waiting(trials: Sequence[Trial]) -> list[Trial]:
    """Those that were lost because a target had gone away."""
    return [trial for trial in lost(trials) if trial.waits_for is not None]
