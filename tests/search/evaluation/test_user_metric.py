"""A metric of the user's own, real throughout: it runs in workers only, and what it does wrong fails its trial."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from litetuner.search.config.config import make_config
from litetuner.search.run import run_search
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.trial import State
from litetuner.spaces.errors import UsageError
from tests.api.conftest import band_arrays, band_model
from tests.documents import own_folder
from tests.one_process import OneProcess

METRIC = """
import numpy as np

def hits(y_true, y_pred):
    steps = y_pred * 256
    if np.array_equal(steps, np.round(steps)):  # what an int8 file gives
        return float("nan")
    return float((y_pred.argmax(1) == y_true).mean())

hits.bounded = True

def broken(y_true, y_pred):
    raise LookupError("no such class")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("metric")
    (home / "own_metric_module.py").write_text(METRIC)
    np.savez(home / "data.npz", **band_arrays())  # type: ignore[arg-type]
    band_model().save(home / "model.keras")  # type: ignore[attr-defined]
    return home


def test_a_metric_that_gives_no_number_fails_its_trial(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    keys = {"model": "model.keras", "data": "data.npz", "target": "fake", "out": "run", "trials": 2}
    record = run_search(make_config(keys | {"metric": "own_metric_module:hits"})).record
    baseline, int8 = record.trials
    assert baseline.state is State.COMPLETE
    assert {"drop", "keras_metric", "conversion_gap", "test_drop"} <= set(baseline.measurements)
    assert int8.state is State.FAILED and "own_metric_module:hits returned nan" in (int8.reason or "")
    assert int8.value("compressed_bytes") is not None, "what was measured before is kept"
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
