"""The report during a search: rarely, cheaply, and never the end of the search."""

from __future__ import annotations

from pathlib import Path

import pytest

from litetuner import reporting as reporting_module
from litetuner.reporting import EVERY_SECONDS, Reporting
from litetuner.search.listener import Listener
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from tests.search.fakes import fake_config


class Watch:
    """A clock that the test sets; a report takes ``cost`` seconds on it."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Heard(Listener):
    def __init__(self) -> None:
        self.told_of = 0
        self.sentences: list[str] = []

    def told(self, *_: object) -> None:
        self.told_of += 1

    def advised(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reporting") / "run"
    with Reporting(Listener()) as reporting:
        run_search(fake_config(path, trials=6), reporting)
    return path


def test_what_status_shows_is_noted(run: Path) -> None:
    names = [event["event"] for event in RunFolder(run).events()]
    assert names[0] == "opened" and names[-1] == "ended" and "doing" in names and "stopping" in names
    assert not (run / "report.html").exists(), "six simulated trials take no three minutes"


@pytest.mark.parametrize(("cost", "reports"), [(1.0, 3), (4.0, 2), (60.0, 1)])
def test_it_costs_less_than_one_percent(cost: float, reports: int, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes with a trial every ten seconds: three reports that cost 1 s, fewer where one costs more."""
    watch, heard, written = Watch(), Heard(), []

    def write(_: object) -> Path:
        watch.time += cost
        written.append(watch.time)
        return run / "report.html"

    monkeypatch.setattr(reporting_module, "write_report", write)
    record = read_run(run)
    reporting = Reporting(heard, watch)
    reporting.opened(record.folder, record.config)
    for step in range(1, 69):
        watch.time = max(watch.time, step * 10.0)
        reporting.told(record.trials[-1], list(record.trials), 100.0)
    assert heard.told_of == 68 and len(written) == reports
    assert written[0] == pytest.approx(EVERY_SECONDS + cost, abs=10)


def test_a_report_that_fails_ends_no_search(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_: object) -> Path:
        raise ZeroDivisionError("of a figure")

    monkeypatch.setattr(reporting_module, "write_report", write)
    watch, heard = Watch(), Heard()
    record = read_run(run)
    reporting = Reporting(heard, watch)
    reporting.opened(record.folder, record.config)
    watch.time = EVERY_SECONDS + 1
    reporting.told(record.trials[-1], list(record.trials), 100.0)
    assert "ZeroDivisionError: of a figure" in heard.sentences[0]
    assert any(event["event"] == "report failed" for event in record.folder.events())
