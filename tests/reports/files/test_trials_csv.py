"""The table of all trials, ``trials.csv``."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

import pandas as pd
import pytest

from litetuner.reports.files.trials_csv import write_csv
from litetuner.reports.html.report import write_report
from litetuner.reports.model.result import build_result
from litetuner.search.runs.record import RunRecord


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_cell_of_the_table_is_a_formula(record: RunRecord, text: str) -> None:
    first, *others = record.trials
    changed = dataclasses.replace(first, reason=text, origin=text)
    result = build_result(dataclasses.replace(record, trials=(changed, *others)))
    line = next(csv.DictReader(io.StringIO(write_csv(result))))
    assert line["reason"] == line["origin"] == f"'{text}"
    assert float(line["metric"]) > 0, "numbers stay numbers"


def test_table_has_a_line_for_each_trial_and_a_column_for_each_knob(record: RunRecord) -> None:
    write_report(record)
    found = pd.read_csv(record.folder.path / "trials.csv")
    assert list(found["trial"]) == list(range(40))
    for name in (
        "seconds_since_start",
        "duplicate_of",
        "gate",
        "reason",
        "origin",
        "latency_us_host",
        "prune.sparsity",
    ):
        assert name in found.columns
    assert found.loc[7, "prune.sparsity"] == 0.7
    assert pd.isna(found.loc[3, "prune.sparsity"])
    assert found.loc[35, "duplicate_of"] == 7
    assert json.loads(found.loc[15, "convert.layers"]) == ["dense"]
    assert ",321904," in (record.folder.path / "trials.csv").read_text()  # whole numbers stay whole


def test_a_step_that_is_done_twice_keeps_both_its_knobs(filled: Any) -> None:
    first = filled.trials[7].candidate
    twice = dataclasses.replace(
        first, steps=(first.steps[0], dataclasses.replace(first.steps[0], sparsity=0.9), first.steps[1])
    )
    filled.trials[7] = dataclasses.replace(filled.trials[7], candidate=twice)
    write_report(record := filled.record())
    found = pd.read_csv(record.folder.path / "trials.csv")
    assert (found.loc[7, "prune.sparsity"], found.loc[7, "prune2.sparsity"]) == (0.7, 0.9)
