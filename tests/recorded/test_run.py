"""What a small simulated run leaves: ``summary.json``, ``trials.csv`` and the data inside the report, with clocks set to zero."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import litetuner
from litetuner.search.runs.folder import RunFolder
from tests.search.fakes import fake_search

OUT = "runs/recorded"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, with a report that says nothing of the machine or of the time that it took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("recorded"))
        fake_search(Path(OUT), trials=25)
        run = RunFolder(Path(OUT))
        for trial in run.trials():
            still = dict.fromkeys(trial.seconds, 0.0)
            run.write_trial(dataclasses.replace(trial, seconds_since_start=float(trial.number), seconds=still))
        run.write("clock", {"seconds": dict.fromkeys(("train", "convert", "score", "time", "other", "wall"), 0.0)})
        run.write("environment", {"packages": {}})
        litetuner.Run(OUT).report()
        return run.path.absolute()


def test_the_summary(folder: Path, compare: Callable[[str, str], None]) -> None:
    compare("summary.json", (folder / "summary.json").read_text())


def test_the_table(folder: Path, compare: Callable[[str, str], None]) -> None:
    compare("trials.csv", (folder / "trials.csv").read_text())


def test_the_data_of_the_report(folder: Path, compare: Callable[[str, str], None]) -> None:
    page = (folder / "report.html").read_text()
    found = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert found is not None
    data = json.loads(found.group(1))
    compare("report.json", json.dumps(_rounded(data), indent=0, sort_keys=True) + "\n")


def _rounded(value: Any) -> Any:
    """Importances come from a random forest, whose last digits depend on the processor."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
