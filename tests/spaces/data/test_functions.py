"""Data from functions of the user: arrays and TensorFlow datasets, and what is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.data.sources import streams
from litetuner.spaces.data.sources.functions import read_function
from litetuner.spaces.data.sources.streams import Streams
from litetuner.spaces.errors import DataError

SHAPE = (None, 4, 4, 1)


ARRAYS = "x = np.arange(960, dtype='uint8').reshape(60, 4, 4, 1)\ny = np.arange(60) % 3\n"
DATASET = f"import tensorflow as tf\n{ARRAYS}d = tf.data.Dataset.from_tensor_slices((x, y))\n"


@pytest.mark.parametrize(
    ("source", "splits"),
    [
        (ARRAYS + "get = lambda: dict(x_train=x, y_train=y, x_search=x, y_search=y)", ("train", "search")),
        (ARRAYS + "get = lambda: ((x, y), (x, y))", ("train", "test")),
        (ARRAYS + "get = lambda: ((x, y), (x, y), (x, y))", ("train", "search", "test")),
        (ARRAYS + "get = lambda: (x.tolist(), y.tolist())", ("train",)),
        (ARRAYS + "get = lambda: {'train': (x, y), 'validation': (x, y), 'test': (x, y)}", ("train", "search", "test")),
        (DATASET + "get = lambda: d", ("train",)),
        (DATASET + "get = lambda: d.batch(7)", ("train",)),
        (DATASET + "get = lambda: d.map(lambda x, y: (x[..., 0], y)).batch(7)", ("train",)),
        (DATASET + "get = lambda: d.map(lambda x, y: (x, tf.one_hot(y, 3)))", ("train",)),
        (DATASET + "get = lambda: {'train': d, 'val': d.batch(60), 'test': d.batch(8)}", ("train", "search", "test")),
    ],
)
def test_functions_return_arrays_or_datasets(module: Any, source: str, splits: tuple[str, ...]) -> None:
    found = read_function(f"{module(source)}:get", SHAPE).splits
    assert tuple(found) == splits
    for x, y in found.values():
        assert x.shape in ((60, 4, 4, 1), (60, 4, 4)) and np.array_equal(x.ravel(), np.arange(960, dtype="uint8"))
        assert (y if y.ndim == 1 else y.argmax(axis=1)).tolist() == [0, 1, 2] * 20


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("get = lambda: 3", "is int"),
        ("get = lambda: {}", "empty dict"),
        ("get = lambda: {'trian': 1}", "did you mean 'train'"),
        ("get = lambda: {'train': 1}", "train split"),
        ("get = lambda: 1 / 0", "ZeroDivisionError"),
        ("get = lambda: ([[1], [1, 2]], [0, 1])", "one shape"),
        (ARRAYS + "get = lambda: {'val': (x, y), 'search': (x, y)}", "twice"),
        (DATASET + "get = lambda: d.repeat()", "forever"),
        (
            DATASET + "get = lambda: d.repeat().filter(lambda x, y: True).map(lambda x, y: (x, y)).prefetch(2)",
            "forever",
        ),
        (
            DATASET + "get = lambda: {'train': d.repeat().interleave(lambda x, y: d)}",
            "the train split: the dataset repeats",
        ),
        (DATASET + "get = lambda: d.map(lambda x, y: (1 // (y - y), y))", "failed while its dataset was read"),
        (DATASET + "get = lambda: d.map(lambda x, y: (x, 'cat'))", "must be numbers"),
        (ARRAYS + "import sys\ndef get(): sys.exit('no data today')", "SystemExit: no data today"),
        (DATASET + "get = lambda: d.map(lambda x, y: x)", "pairs (x, y)"),
        (DATASET + "get = lambda: d.take(0)", "empty"),
    ],
)
def test_functions_that_return_something_else_are_refused(module: Any, source: str, part: str) -> None:
    with pytest.raises(DataError) as caught:
        read_function(f"{module(source)}:get", SHAPE)
    assert part in str(caught.value)


ENDLESS = (
    DATASET
    + """
def forever():
    while True:
        yield x[0], y[0]

signature = (tf.TensorSpec((4, 4, 1), tf.uint8), tf.TensorSpec((), tf.int64))
get = lambda: {"val": tf.data.Dataset.from_generator(forever, output_signature=signature)}
"""
)


def test_a_stream_that_does_not_end_is_rejected_with_its_name_and_size(
    module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A generator does not say that it never ends: there is a cap, and progress on the way to it."""
    said: list[str] = []
    monkeypatch.setattr(streams, "MOST_SAMPLES", 500)
    monkeypatch.setattr(streams, "PROGRESS_SECONDS", 0.0)
    name = module(ENDLESS)
    with pytest.raises(
        DataError, match=rf"--data {name}:get: the search split has given 501 samples.*dataset\.take\(n\)"
    ):
        read_function(f"{name}:get", SHAPE, streams=Streams(tmp_path / "new" / "er", said.append))
    assert said[9].startswith(f"reading --data {name}:get: the search split: 10 samples, 0 MB")
    monkeypatch.setattr(streams, "FREE_SHARE", 0.0)
    with pytest.raises(DataError, match="has given 1 samples"):
        read_function(f"{name}:get", SHAPE, streams=Streams(tmp_path / "new" / "er"))
    assert list((tmp_path / "new" / "er").iterdir()) == []


def test_an_endless_dataset_of_which_a_part_is_taken_ends(module: Any) -> None:
    source = DATASET + "get = lambda: d.repeat().filter(lambda x, y: True).take(100)"
    x, y = read_function(f"{module(source)}:get", SHAPE).splits["train"]
    assert isinstance(x, np.memmap), "memory holds one batch"
    assert len(x) == len(y) == 100
