"""Bringing records and study together when a run is opened, after any end."""

from __future__ import annotations

from litetuner.search.criteria import Criteria, again_if_undominated, judged
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.study import Study
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate


def rejudge(folder: RunFolder, objectives: tuple[Objective, ...], today: Criteria) -> list[Trial]:
    """All records under today's terms; what a gate stopped that they would let through is asked again."""
    before = folder.trials()
    found = [judged(trial, today) for trial in before]
    history = History(found, objectives, today.budgets)
    found = [again_if_undominated(trial, history) for trial in found]
    for old, fresh in zip(before, found, strict=True):
        if fresh != old:
            folder.write_trial(fresh)
    return found


def recover(folder: RunFolder, study: Study, trials: list[Trial]) -> list[Trial]:
    """Bring study and records together after any end: a running trial with a record is told, one without is lost."""
    records = {trial.number: trial for trial in trials}
    study.refill(trials)
    for number in study.running():
        trial = records.get(number)
        if trial is None:
            asked = study.candidate(number)
            trial = Trial(
                number=number,
                candidate=asked.candidate if asked else Candidate(()),
                state=State.LOST,
                origin=asked.origin if asked else "sampler",
                seed=0,
                reason="the search ended while it ran; it is asked again",
                params=asked.params if asked else {},
            )
            folder.write_trial(trial)
            records[number] = trial
        study.tell(trial)
    return [records[number] for number in sorted(records)]
