"""What stands in a row, and beside a label."""

from __future__ import annotations

import dataclasses

from litetuner.reports.model.rows import shown_labels
from litetuner.reports.model.sections.trial_details import find_trial_details
from litetuner.reports.terminal.trial_rows import trial_line
from litetuner.search.runs.record import RunRecord
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.steps.ptq import Ptq


def test_other_candidates_of_the_same_label_have_their_id(record: RunRecord) -> None:
    one, other = (Candidate((Ptq("static_wi8_ai8", algorithm=algorithm),)) for algorithm in ("minmax", "mse"))
    assert one.label == other.label and one.id != other.id
    first = record.trials[0]
    trials = [
        dataclasses.replace(first, number=at, candidate=candidate) for at, candidate in enumerate((one, other, one))
    ]
    assert shown_labels([trials[0], trials[2]], 80) == {0: one.label, 2: one.label}
    expected = {0: f"{one.label} ({one.id})", 1: f"{one.label} ({other.id})", 2: f"{one.label} ({one.id})"}
    assert shown_labels(trials, 80) == expected
    assert expected[1] in trial_line(trials[1], trials) and one.id not in trial_line(trials[0], trials)
    details = find_trial_details(dataclasses.replace(record, trials=tuple(trials)), (), frozenset())
    assert {trial.number: trial.label for trial in details} == expected
