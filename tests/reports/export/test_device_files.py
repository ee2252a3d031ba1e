"""Files of an export that a device holds: compiled as measured, look-up tables proved again, an arena that is large enough."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.tflm import compression
from litetuner.reports.export.device_files import SPARE_BYTES, arena_of, device_files
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import RunError
from litetuner.spaces.store import Store
from tests.objectives.micro_files import INT8
from tests.objectives.tflm.test_compression import few_values


def trial(**measurements: Measurement) -> Trial:
    named = {name.replace("__", ":"): value for name, value in measurements.items()}
    return Trial(3, Candidate(()), State.COMPLETE, "recipe", 0, named)


def told(value: float, environment: dict[str, Any] | None = None, **extra: Any) -> Measurement:
    return Measurement(value, "B", {"test": True} | (environment or {}), extra=extra)


def record(tmp_path: Path, target: str = "host") -> Any:
    """As much of a run as an export of device files reads."""
    blobs, names = Store(tmp_path / "blobs"), {}
    for name, values in (("x_search", np.random.default_rng(0).normal(size=(9, 8, 8, 3))), ("y_search", np.zeros(9))):
        buffer = io.BytesIO()
        np.save(buffer, values.astype(np.float32), allow_pickle=False)
        names[name] = blobs.put(buffer.getvalue(), ".npy")
    folder = SimpleNamespace(path=tmp_path / "run", blobs=blobs)
    config = SimpleNamespace(named_targets=(find_target(target),))
    return SimpleNamespace(folder=folder, config=config, data=SimpleNamespace(arrays=names))


def test_the_compiled_file_must_be_the_measured_one(tmp_path: Path) -> None:
    pytest.importorskip("ethosu.vela")
    run = record(tmp_path, "u55=vela:ethos-u55-64")
    (made,) = device_files(run, trial(), INT8)
    assert (made.suffix, made.npu) == ("-ethos-u55-64.tflite", "ethos-u55-64")
    digest = hashlib.sha256(made.content).hexdigest()
    same = trial(flash_bytes__u55=told(len(made.content), sha256=digest))
    assert device_files(run, same, INT8) == [made]
    other = trial(flash_bytes__u55=told(1.0, {"estimate": "Vela 4.0.0"}, sha256="0" * 64))
    with pytest.raises(
        RunError, match=r"measured with Vela 4\.0\.0, and what is installed now makes another file for u55"
    ):
        device_files(run, other, INT8)


def test_look_up_tables_are_proved_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tflite_micro")
    run, content = record(tmp_path), few_values()
    measured = trial(flash_bytes=told(1.0, file="x.tflite"))
    (made,) = device_files(run, measured, content)
    assert made.suffix == "-lut.tflite" and len(made.content) < len(content) and "on 9 samples" in made.about
    assert device_files(run, trial(flash_bytes=told(1.0)), content) == [], "the plain file was measured"
    (right,) = compression.find_tables(content)
    wrong = type(right)(right.tensor, 7, None, right.plain_bytes, right.table_bytes)
    monkeypatch.setattr(compression, "find_tables", lambda file: (wrong,))
    with pytest.raises(RunError, match=r"cannot be exported: not compressed: .* of 9 samples gave other outputs"):
        device_files(run, measured, content)
    (tmp_path / "blobs" / run.data.arrays["x_search"]).unlink()
    with pytest.raises(RunError, match="cannot be made again"):
        device_files(run, measured, content)


def test_the_arena_is_that_of_the_best_source() -> None:
    used = trial(arena_bytes=told(1_000), arena_bytes__tflm=told(5_000), sram_bytes__u55=told(2_000))
    assert arena_of(used, "")[0] == 5 * 1024 and "64-bit" in arena_of(used, "")[1]
    assert arena_of(used, "ethos-u55-64")[0] == -(-(2_000 + SPARE_BYTES) // 1024) * 1024
    planned = trial(arena_bytes=told(1_000))
    assert (
        arena_of(planned, "")[0] == -(-(1_000 + SPARE_BYTES) // 1024) * 1024 and "planned" in arena_of(planned, "")[1]
    )
