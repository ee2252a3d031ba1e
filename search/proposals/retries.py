"""What was lost and is asked again: trials that wait for a target, and what the terms of an earlier session had stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from litetuner.search.proposals.recipes import Proposal
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import ScriptedChoices

MOST_WAITING = 8  # candidates; more would be trained while nothing is learnt from them
MOST_LOSSES = 3  # of one candidate by accidents of this machine, then it is left alone


def lost_before(trials: Sequence[Trial]) -> list[Trial]:
    """The trials to ask again: the last loss of each candidate without an answer, in the order of the first ones."""
    answered = {trial.candidate.key for trial in trials if trial.state is not State.LOST}
    own = [trial for trial in trials if trial.duplicate_of is None]  # a repeated answer was no loss of its own
    accidents = Counter(t.candidate.key for t in own if t.state is State.LOST and t.waits_for is None)
    found: dict[str, Trial] = {}
    for trial in own:
        key = trial.candidate.key
        whole = bool(trial.candidate.steps)  # else the search died before it was written down
        if trial.state is State.LOST and whole and key not in answered and accidents[key] < MOST_LOSSES:
            found[key] = trial
    return list(found.values())


def waiting(trials: Sequence[Trial]) -> list[Trial]:
    """Those of them that were lost because a target had gone away."""
    return [trial for trial in lost_before(trials) if trial.waits_for is not None]


def again(trial: Trial) -> Proposal:
    """The same candidate, by the same choices."""
    script = ScriptedChoices({name: entry["chosen"] for name, entry in trial.params.items()})
    return Proposal(script, trial.candidate, trial.origin)
