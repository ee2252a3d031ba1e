"""Small data, prepared as a search does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.data.preparation import DataRequest, prepare_data
from litetuner.spaces.errors import DataError
from litetuner.spaces.info import DataInfo, TensorInfo
from litetuner.spaces.store import Store
from tests.decisions import classes_known, numbers_known

SHAPE = (None, 4, 4, 1)


def images(n: int, seed: int = 0, shape: tuple[int, ...] = (4, 4, 1)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def labels(n: int, classes: int = 3) -> np.ndarray:
    return np.arange(n) % classes


def prepare(source: Any, folder: Path, **changed: Any) -> DataInfo:
    inputs = (TensorInfo("image", changed.pop("input_shape", SHAPE), changed.pop("input_dtype", "float32")),)
    outputs = (TensorInfo("class", changed.pop("output_shape", (None, 3)), "float32"),)
    known = numbers_known if changed.pop("task", "classification") == "regression" else classes_known
    settings: dict[str, Any] = {"seed": 0, "preprocess": None, "known": known(outputs[0].shape)}
    request = DataRequest(source=str(source), inputs=inputs, outputs=outputs, **settings | changed)
    return prepare_data(request, Store(folder / "data"))


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "d.npz"
    np.savez(path, **arrays)
    return path


def refused(source: Any, folder: Path, *parts: str, **changed: Any) -> None:
    with pytest.raises(DataError) as caught:
        prepare(source, folder, **changed)
    for part in parts:
        assert part in str(caught.value)
    assert not list((folder / "data").glob(".*")), "temporary files stay behind"
