"""What the user's functions do wrong while model and data are inspected: a usage error that names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from litetuner.search.config.config import make_config
from litetuner.search.run import run_search
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.spaces.errors import UsageError
from tests.api.conftest import band_arrays, band_model
from tests.documents import own_folder
from tests.one_process import OneProcess

FUNCTIONS = """
import os, sys, time
import numpy as np

def preprocess_raises(x): raise LookupError("no such table")
def preprocess_exits(x): sys.exit(3)
def preprocess_ends(x): os._exit(3)
def preprocess_nan(x): return x * np.nan
def preprocess_hangs(x): time.sleep(1000)
def loss_raises(y, p): raise LookupError("no such table")
def loss_exits(y, p): sys.exit(3)
def loss_ends(y, p): os._exit(3)
def loss_hangs(y, p): time.sleep(1000)
def loss_nan(y, p):
    import tensorflow as tf
    return tf.reduce_sum(p, axis=-1) * float("nan")
def objects_raises(): raise LookupError("no such table")
def objects_exits(): sys.exit(3)
def objects_ends(): os._exit(3)
def objects_hangs(): time.sleep(1000)
def data_raises(): raise LookupError("no such table")
def data_exits(): sys.exit(3)
def data_ends(): os._exit(3)
def data_hangs(): time.sleep(1000)
def model_raises(): raise LookupError("no such table")
def model_exits(): sys.exit(3)
def model_ends(): os._exit(3)
def model_hangs(): time.sleep(1000)
"""
KEYS = {"preprocess": "preprocess", "loss": "loss", "objects": "custom_objects", "data": "data", "model": "model"}
REASONS = {
    "raises": "no such table",
    "exits": "SystemExit: 3",
    "ends": "the process ended with code 3 while inspect",
    "nan": "not finite|NaN or infinite",
    "hangs": "took longer than 5 s and was stopped",
}
WRONG = [name[4:].partition("(")[0] for name in FUNCTIONS.splitlines() if name.startswith("def ")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("functions")
    (home / "wrong_functions.py").write_text(FUNCTIONS)
    np.savez(home / "data.npz", **band_arrays())  # type: ignore[arg-type]
    band_model().save(home / "model.keras")  # type: ignore[attr-defined]
    return home


def inspect_with(name: str) -> str | None:
    """What is wrong with the error of a search with this function, if anything."""
    what, _, how = name.partition("_")
    given = {"model": "model.keras", "data": "data.npz", "target": "fake", "trials": 1, "time_budget": "5s"}
    with pytest.raises(UsageError) as raised:
        run_search(make_config(given | {KEYS[what]: f"wrong_functions:{name}"}))
    said = str(raised.value)
    return None if name in said and any(part in said for part in REASONS[how].split("|")) else f"{name}: {said}"


def test_each_way_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, so that TensorFlow is imported once; with workers all 23 gave the same (90 s of CPU, 2026-11-26)."""
    monkeypatch.setitem(EXECUTORS, "local", OneProcess)
    monkeypatch.syspath_prepend(str(home))
    with own_folder(home):
        found = [inspect_with(name) for name in WRONG if not name.endswith(("ends", "hangs"))]
    assert len(found) == 12 and not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("name", ["loss_ends", "preprocess_hangs"])
def test_a_worker_that_ends_or_hangs_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(home)
    if name.endswith("hangs"):
        monkeypatch.setattr("litetuner.search.evaluation.limits.OVERRUN_SECONDS", 5.0)
    assert inspect_with(name) is None
    children = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in children if "litetuner.search.runtime.worker" in child.cmdline()]
