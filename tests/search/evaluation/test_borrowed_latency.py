"""A latency that was measured on another file says so; what can be picked is timed itself."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from pathlib import Path

import pytest

from litetuner.reports.files.trials_csv import write_csv
from litetuner.reports.model.report import build_report
from litetuner.reports.model.result import build_result
from litetuner.reports.terminal.trial_rows import trial_line
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord, read_run
from litetuner.search.trial import Trial
from tests.search.fakes import fake_search

LATENCY = "latency_us:fake"


def lender(trial: Trial) -> dict[str, object] | None:
    found: dict[str, object] | None = trial.measurements[LATENCY].extra.get("borrowed_from")
    return found


def scored(record: RunRecord) -> list[Trial]:
    return [trial for trial in record.trials if trial.state.scored and trial.duplicate_of is None]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return fake_search(tmp_path_factory.mktemp("search") / "run", trials=30).record


def test_borrowed_latencies_are_marked_until_the_finals(record: RunRecord) -> None:
    told = {trial.number: trial for trial in record.folder.trials()}  # as they were told, before the finals
    borrowed = {
        trial.number: mark for trial in told.values() if LATENCY in trial.measurements and (mark := lender(trial))
    }
    assert borrowed, "no two files of one structure: the test shows nothing"
    for number, mark in borrowed.items():
        assert mark["file"] != Path(str(told[number].artifact)).name
        assert "s*  " in trial_line(told[number], list(told.values()))
    named = {
        trial.number: mark["trial"]
        for trial in record.trials
        if LATENCY in trial.measurements and (mark := lender(trial))
    }
    assert any(source is not None for source in named.values())
    files = {Path(str(trial.artifact)).name for trial in told.values()}
    for number, source in named.items():
        assert (source is not None) == (borrowed[number]["file"] in files)
        if source is not None:
            other = told[int(str(source))]
            assert other.structure == told[number].structure
            assert Path(str(other.artifact)).name == borrowed[number]["file"]
    assert record.best is not None
    timed_themselves = [*record.front, *record.picks.values(), *record.best.contenders]
    assert all(lender(trial) is None for trial in timed_themselves)
    rows = {int(row["trial"]): row for row in csv.DictReader(io.StringIO(write_csv(build_result(record))))}
    for trial in scored(record):
        mark = lender(trial)
        expected = "" if mark is None else "an untrained copy" if mark["trial"] is None else f"trial {mark['trial']}"
        assert rows[trial.number]["latency_from_fake"] == expected


def test_a_trial_that_ended_later_is_named_too(record: RunRecord, tmp_path: Path) -> None:
    """Of trials in flight at the same time, the one whose file was timed may be told after the one that borrowed."""
    borrower = next(
        trial for trial in record.trials if LATENCY in trial.measurements and (lender(trial) or {}).get("trial")
    )
    source = record.trials[int(str((lender(borrower) or {})["trial"]))]
    path = Path(shutil.copytree(record.folder.path, tmp_path / "run"))
    folder, later = RunFolder(path), max(trial.number for trial in record.trials) + 1
    folder.write_trial(dataclasses.replace(source, number=later))
    shutil.rmtree(folder.trial_folder(source.number))
    again = {trial.number: trial for trial in read_run(path).trials}
    assert (lender(again[borrower.number]) or {})["trial"] == later


def test_a_report_names_the_trial(record: RunRecord) -> None:
    notes = {item.number: item.notes for item in build_report(record).trials}
    marks = {trial.number: mark for trial in scored(record) if (mark := lender(trial)) is not None}
    for number, mark in marks.items():
        name = "an untrained copy" if mark["trial"] is None else f"trial {mark['trial']}"
        assert f"latency on fake measured on the file of {name}, same structure" in notes[number]
    assert marks
