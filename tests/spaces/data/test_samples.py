"""Samples: their types, their shapes, and preprocessing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.data.preparation import DataRequest, open_split
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.store import Store
from tests.decisions import classes_known
from tests.spaces.data.prepared import SHAPE, images, labels, npz, prepare, refused


@pytest.mark.parametrize(
    ("given", "model", "stored"),
    [
        ("uint8", "float32", "uint8"),
        ("float16", "float32", "float16"),
        ("float64", "float32", "float32"),
        ("int64", "float32", "float32"),
        ("bool", "float32", "uint8"),
        ("int64", "int32", "int32"),
        ("uint8", "int32", "uint8"),
        (">f4", "float32", "float32"),
    ],
)
def test_types_are_kept_where_the_model_takes_them(tmp_path: Path, given: str, model: str, stored: str) -> None:
    x = (images(60) % 2).astype(given)
    facts = prepare(npz(tmp_path, x_train=x, y_train=labels(60)), tmp_path, input_dtype=model)
    found = open_split(Store(tmp_path / "data"), facts.arrays, "train")[0]
    assert facts.x_dtype == stored and found.dtype.isnative and set(np.unique(found)) == {0, 1}


def test_integer_models_refuse_floats_and_what_does_not_fit(tmp_path: Path) -> None:
    refused(npz(tmp_path, x_train=images(60) / 2, y_train=labels(60)), tmp_path, "takes int32", input_dtype="int32")
    large = images(60).astype(np.int64) + 2**40
    refused(npz(tmp_path, x_train=large, y_train=labels(60)), tmp_path, "beyond int32", input_dtype="int32")


def test_a_missing_channel_axis_is_added_and_noted(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_train=images(60, shape=(4, 4)), y_train=labels(60)), tmp_path)
    assert facts.x_shape == (4, 4, 1) and any("channel axis" in note for note in facts.notes)


@pytest.mark.parametrize(
    ("shape", "model", "hint"),
    [
        ((3, 4, 4), (None, 4, 4, 3), "moveaxis"),
        ((3, 96), (None, 96, 3), "moveaxis"),
        ((4, 4), (None, 4, 4, 3), "repeat"),
        ((4, 4, 1), (None, 4, 4, 3), "repeat"),
        ((4, 4, 1), (None, 4, 4), "x[..., 0]"),
        ((16,), (None, 4, 4, 1), "reshape(len(x), 4, 4, 1)"),
        ((5, 5, 1), (None, 4, 4, 1), "Resize"),
        ((4, 1), (None, 4, 4, 1), "x[None]"),
        ((7,), (None, 4, 4, 1), "--preprocess"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_a_way_out(
    tmp_path: Path, shape: tuple[int, ...], model: tuple[int | None, ...], hint: str
) -> None:
    source = npz(tmp_path, x_train=images(60, shape=shape), y_train=labels(60))
    refused(source, tmp_path, str(shape), str(model[1:]), hint, input_shape=model)


def test_free_sizes_are_taken_but_must_agree_between_splits(tmp_path: Path) -> None:
    free = (None, None, None, 1)
    source = npz(tmp_path, x_train=images(60, shape=(6, 5, 1)), y_train=labels(60))
    assert prepare(source, tmp_path, input_shape=free).x_shape == (6, 5, 1)
    other = npz(tmp_path, x_train=images(60), y_train=labels(60), x_test=images(6, shape=(5, 5, 1)), y_test=labels(6))
    refused(other, tmp_path, "different shapes", input_shape=free)


def test_nan_and_infinity_are_counted_and_located(tmp_path: Path) -> None:
    x = images(60).astype(np.float32)
    x[17, 0, 0] = np.nan
    x[20, 0, 0] = np.inf
    given = {"x_train": images(60), "y_train": labels(60), "x_search": x, "y_search": labels(60)}
    refused(npz(tmp_path, **given), tmp_path, "2 values", "2 samples", "x_search[17]")
    refused(npz(tmp_path, x_train=images(60) + 1e300, y_train=labels(60)), tmp_path, "infinite")  # beyond float32


def test_preprocessing_is_done_in_batches_for_every_split(tmp_path: Path, module: Any) -> None:
    name = module("def scale(x):\n    assert len(x) <= 256\n    return x[..., None] / 255.0\n")
    source = npz(tmp_path, x_train=images(700, shape=(4, 4)), y_train=labels(700))
    facts = prepare(source, tmp_path, preprocess=f"{name}:scale")
    assert facts.x_dtype == "float32" and facts.x_shape == (4, 4, 1)
    for split in facts.counts:
        assert 0.9 < open_split(Store(tmp_path / "data"), facts.arrays, split)[0].max() <= 1.0


def test_what_the_users_functions_print_stays_off_standard_output(tmp_path: Path, module: Any) -> None:
    name = module("def f(x):\n    print('noise')\n    return x\n")
    source = npz(tmp_path, x_train=images(60), y_train=labels(60))
    inputs, outputs = (TensorInfo("image", SHAPE, "float32"),), (TensorInfo("class", (None, 3), "float32"),)
    request = DataRequest(str(source), 0, f"{name}:f", classes_known(outputs[0].shape), inputs, outputs)
    code = (
        "from pathlib import Path\n"
        "from litetuner.spaces.data.preparation import DataRequest, prepare_data\n"
        "from litetuner.spaces.info import TensorInfo\n"
        "from litetuner.spaces.models.decision import Evidence, OutputSettings\n"
        "from litetuner.spaces.store import Store\n"
        f"prepare_data({request!r}, Store(Path('data')))\nprint('result')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "result\n" and "noise" in done.stderr


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("return None", "nothing"),
        ("return x.mean()", "shape ()"),
        ("return x[:-1]", "one row for each sample"),
        ("return x / x.mean()", "batch is another"),
        ("return x + np.random.default_rng().normal(size=x.shape)", "random"),
        ("raise RuntimeError('oh')", "RuntimeError: oh"),
        ("return x.reshape(len(x), -1)", "samples of shape (16,)"),
        ("return np.log(x * 0.0 - 1)", "after --preprocess"),
    ],
)
def test_preprocessing_that_cannot_be_used_is_refused(tmp_path: Path, module: Any, body: str, part: str) -> None:
    name = module(f"def f(x):\n    with np.errstate(all='ignore'):\n        {body}\n")
    source = npz(tmp_path, x_train=images(60), y_train=labels(60))
    refused(source, tmp_path, part, preprocess=f"{name}:f")


def test_a_missing_function_is_a_config_error(tmp_path: Path, module: Any) -> None:
    name = module("def scale(x): return x\n")
    with pytest.raises(ConfigError, match="did you mean 'scale'"):
        prepare(npz(tmp_path, x_train=images(60), y_train=labels(60)), tmp_path, preprocess=f"{name}:scal")
