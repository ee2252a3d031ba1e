"""Trials as a table of pandas: the same numbers as ``trials.csv``, and types that do not depend on what was measured."""

from __future__ import annotations

import csv
import io

import pandas
import pytest

from litetuner.reports.files.trials_csv import write_csv
from litetuner.reports.model.result import build_result
from litetuner.reports.notebook.frames import front_frame, trials_frame
from litetuner.search.runs.record import RunRecord
from tests.reports.builder import Builder


def test_the_columns_are_those_of_the_csv_with_the_same_values(run_of_forty: RunRecord) -> None:
    result = build_result(run_of_forty)
    frame = trials_frame(result)
    rows = list(csv.DictReader(io.StringIO(write_csv(result))))
    assert set(frame.columns) == {*rows[0], "front", "picks"} and len(frame) == len(rows) == len(run_of_forty.trials)
    wrong = []
    for at, row in enumerate(rows):
        for name, text in row.items():
            value = frame[name].iloc[at]
            same = pandas.isna(value) if text == "" else str(value) == text or float(value) == float(text)
            wrong += [] if same else [(at, name, text, value)]
    assert not wrong


def test_types(run_of_forty: RunRecord) -> None:
    types = {name: str(kind) for name, kind in trials_frame(build_result(run_of_forty)).dtypes.items()}
    expected = {"trial": "Int64", "compressed_bytes": "Int64", "duplicate_of": "Int64", "metric": "float64"}
    expected |= {"drop": "float64", "label": "string", "gate": "string", "front": "bool", "picks": "string"}
    expected |= {"latency_us_host": "float64", "latency_from_host": "string", "delegates_host_operators": "Int64"}
    assert {name: types[name] for name in expected} == expected
    assert "object" not in types.values()


def test_the_front(run_of_forty: RunRecord) -> None:
    result = build_result(run_of_forty)
    frame = front_frame(result)
    assert list(frame["trial"]) == [row.trial for row in result.front] and frame["front"].all()
    best = frame[frame["picks"].str.contains("best", na=False)]
    assert result.best is not None and list(best["trial"]) == [result.best.trial]
    assert list(frame.columns) == list(trials_frame(result).columns)


@pytest.mark.parametrize("of", [trials_frame, front_frame])
def test_a_run_without_trials(of, build: Builder) -> None:
    assert of(build_result(build.record())).empty
