"""Data from a function of the user: arrays, or TensorFlow datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from litetuner.spaces import tf
from litetuner.spaces.data_sources import KEYS, SYNONYMS, RawData, check_keys, pair_splits
from litetuner.spaces.errors import DataError, nearest
from litetuner.spaces.user_function import load_function

Pair = tuple[np.ndarray, np.ndarray]
RETURNS = (
    "It must return a dict of arrays (x_train, y_train, x_search, ...), ((x_train, y_train), (x_test, y_test)), (x, y), "
    "a tf.data.Dataset of (x, y), or a dict of such by split (train, search, test)."
)


def read_function(spec: str, input_shape: tuple[int | None, ...]) -> RawData:
    """Call ``module:function`` without arguments and read what it returns.

    That is a dict of arrays with the keys of an ``.npz``; ``((x_train, y_train), (x_test, y_test))`` as Keras's own datasets
    have it; ``(x, y)``, all of it train; a ``tf.data.Dataset`` of (x, y), batched or not, all of it train; or a dict of
    datasets or pairs by split (``train``, ``search`` or ``validation``, ``test``). Raises ``DataError``.
    """
    tf.load()  # before the user's module imports TensorFlow by itself, without legacy Keras
    with tf.quiet_stdout():
        function = load_function(spec, "--data")
    try:
        with tf.quiet_stdout():
            value = function()
    except Exception as error:
        raise DataError(f"--data {spec} failed: {type(error).__name__}: {error}") from error
    source = f"--data {spec}"
    if isinstance(value, Mapping):
        return RawData(_from_dict(source, value, input_shape))
    if _is_dataset(value):
        return RawData({"train": _from_dataset(source, value, input_shape)})
    if isinstance(value, (tuple, list)) and len(value) in (2, 3):
        if all(isinstance(item, tuple) and len(item) == 2 for item in value):
            names = ("train", "test") if len(value) == 2 else ("train", "search", "test")
            return RawData({name: _pair(source, name, item) for name, item in zip(names, value, strict=True)})
        if len(value) == 2:
            return RawData({"train": _pair(source, "train", value)})
    raise DataError(f"{source} returned {type(value).__name__}. {RETURNS}")


def _from_dict(source: str, value: Mapping[Any, Any], input_shape: tuple[int | None, ...]) -> dict[str, Pair]:
    keys = [str(key) for key in value]
    if any(key in KEYS for key in keys):
        return pair_splits(source, {key: _array(source, key, value[key]) for key in check_keys(source, keys)})
    splits: dict[str, Pair] = {}
    known = ("train", "search", "test", *SYNONYMS)
    for key, item in value.items():
        if key not in known:
            raise DataError(
                f"{source} returned a dict with the key {key!r}{nearest(str(key), (*known, *KEYS)) or '.'} {RETURNS}"
            )
        split = SYNONYMS.get(key, key)
        if split in splits:
            raise DataError(f"{source} returned the {split} split twice, under the keys {', '.join(keys)}")
        splits[split] = _from_dataset(source, item, input_shape) if _is_dataset(item) else _pair(source, split, item)
    if not splits:
        raise DataError(f"{source} returned an empty dict. {RETURNS}")
    return splits


def _pair(source: str, split: str, item: Any) -> Pair:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise DataError(f"{source} returned {type(item).__name__} for the {split} split. {RETURNS}")
    x, y = (_array(source, f"{axis}_{split}", part) for axis, part in zip("xy", item, strict=True))
    return x, y


def _array(source: str, key: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{source}: {key} is no array ({error}). All samples must have one shape.") from error
    if array.ndim == 0:
        raise DataError(f"{source}: {key} is {type(value).__name__}; it must be an array with one row for each sample")
    return array


def _is_dataset(value: Any) -> bool:
    return hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator")


def _from_dataset(source: str, dataset: Any, input_shape: tuple[int | None, ...]) -> Pair:
    """All samples of a ``tf.data.Dataset``. Whether it is batched is told from the shapes of its elements."""
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or not all(hasattr(part, "shape") for part in spec):
        raise DataError(f"{source}: the dataset's elements are {spec}; they must be pairs (x, y) of tensors")
    if int(dataset.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise DataError(f"{source}: the dataset repeats for ever. Leave repeat() out.")
    batched = _is_batched(spec, input_shape)
    xs, ys = [], []
    for x, y in dataset.as_numpy_iterator():
        xs.append(x if batched else x[None])
        ys.append(y if batched else np.asarray(y)[None])
    if not xs:
        raise DataError(f"{source}: a dataset is empty")
    try:
        return np.concatenate(xs), np.concatenate(ys)
    except ValueError as error:
        raise DataError(f"{source}: the dataset's samples differ in shape ({error}). Resize or pad them.") from error


def _is_batched(spec: tuple[Any, Any], input_shape: tuple[int | None, ...]) -> bool:
    x, y = spec
    if y.shape.rank == 0:
        return False
    sample = input_shape[1:]
    is_sample = x.shape.rank == len(sample) and all(
        b is None or a == b for a, b in zip(x.shape.as_list(), sample, strict=True)
    )
    return not is_sample
