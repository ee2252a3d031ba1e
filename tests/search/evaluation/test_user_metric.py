"""A metric of the user's own, real throughout: it runs in workers only, and what it does wrong fails its trial."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from litetuner.search.config.config import make_config
from litetuner.search.listener import Listener
from litetuner.search.run import run_search
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import UsageError
from tests.api.conftest import band_arrays, band_model
from tests.documents import own_folder
from tests.one_process import OneProcess

METRIC = """
import os
import sys
from pathlib import Path

def raises():
    raise LookupError("no such class")

BAD = {
    "nan": lambda: float("nan"),
    "raises": raises,
    "sys.exit": lambda: sys.exit(3),
    "interrupt": lambda: exec("raise KeyboardInterrupt"),
    "os._exit": lambda: os._exit(3),
    "text": lambda: "high",
    "nothing": lambda: None,
    "two": lambda: [0.5, 0.5],
}

def hits(y_true, y_pred):
    told = Path("what.txt")
    if told.exists():
        return BAD[told.read_text()]()
    return float((y_pred.argmax(1) == y_true).mean())

hits.bounded = True

def broken(y_true, y_pred):
    raise LookupError("no such class")
"""
REASONS = {
    "nan": "own_metric_module:hits returned nan",
    "raises": "LookupError: no such class",
    "sys.exit": "SystemExit: 3 (at own_metric_module.py:",
    "interrupt": "KeyboardInterrupt",
    "os._exit": "the process ended with code 3 while score",
    "text": "could not convert string to float: 'high'",
    "nothing": "must be a string or a real number, not 'NoneType'",
    "two": "must be a string or a real number, not 'list'",
}


class Telling(Listener):
    """Each candidate's metric goes wrong in another way, from the second on."""

    def __init__(self) -> None:
        self.ways = list(REASONS)

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        if trial.duplicate_of is not None:
            return
        if self.ways:
            Path("what.txt").write_text(self.ways.pop(0))
        else:
            Path("what.txt").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("metric")
    (home / "own_metric_module.py").write_text(METRIC)
    np.savez(home / "data.npz", **band_arrays())  # type: ignore[arg-type]
    band_model().save(home / "model.keras")  # type: ignore[attr-defined]
    return home


def test_whatever_a_metric_does_fails_its_trial_and_nothing_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    keys = {"model": "model.keras", "data": "data.npz", "target": "fake", "out": "run", "steps": "int8,float16,ptq"}
    count = len(REASONS) + 2
    record = run_search(make_config(keys | {"metric": "own_metric_module:hits", "trials": count}), Telling()).record
    baseline, *failed, last = [trial for trial in record.trials if trial.duplicate_of is None]
    assert baseline.state is State.COMPLETE
    assert {"drop", "keras_metric", "conversion_gap", "test_drop"} <= set(baseline.measurements)
    assert [trial.state for trial in failed] == [State.FAILED] * len(REASONS)
    for trial, (way, reason) in zip(failed, REASONS.items(), strict=True):
        assert reason in (trial.reason or ""), f"{way}: {trial.reason}"
        assert trial.value("compressed_bytes") is not None, "what was measured before is kept"
    assert last.state is State.COMPLETE
    assert record.metric.bounded and record.metric.name == "own_metric_module:hits"
    assert "own_metric_module" not in sys.modules


def test_one_that_fails_on_the_baseline_is_a_usage_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXECUTORS, "local", OneProcess)  # the other test is about workers
    monkeypatch.syspath_prepend(str(home))
    keys = {"model": "model.keras", "data": "data.npz", "target": "fake", "out": "other", "trials": 2}
    with (
        own_folder(home),
        pytest.raises(UsageError, match=r"own_metric_module:broken failed .* LookupError: no such class"),
    ):
        run_search(make_config(keys | {"metric": "own_metric_module:broken"}))
