"""Data from a function of the user: arrays, or TensorFlow datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from litetuner.spaces import tf
from litetuner.spaces.data.raw import KEYS, SYNONYMS, Arrays, RawData, check_keys, raw_data
from litetuner.spaces.errors import DataError, nearest
from litetuner.spaces.user_function import load_function

Pair = tuple[Arrays, Arrays | None]
Shapes = Mapping[str, tuple[int | None, ...]]
RETURNS = (
    "It must return a dict of arrays (x_train, y_train, x_search, ...), ((x_train, y_train), (x_test, y_test)), (x, y), "
    "a tf.data.Dataset of (x, y), or a dict of such by split (train, search, test). "
    "For several inputs or outputs x or y is a dict of arrays by name."
)


def read_function(spec: str, input_shape: tuple[int | None, ...], shapes: Shapes | None = None) -> RawData:
    """Call ``module:function`` without arguments and read what it returns.

    That is a dict of arrays with the keys of an ``.npz``; ``((x_train, y_train), (x_test, y_test))`` as Keras's own datasets
    have it; ``(x, y)``, all of it train; a ``tf.data.Dataset`` of (x, y), batched or not, all of it train; or a dict of
    datasets or pairs by split (``train``, ``search`` or ``validation``, ``test``). x and y may be dicts of arrays by the names
    of a model's inputs and outputs, whose ``shapes`` are given. Raises ``DataError``.
    """
    tf.load()  # before the user's module imports TensorFlow by itself, without legacy Keras
    with tf.quiet_stdout():
        function = load_function(spec, "--data")
    try:
        with tf.quiet_stdout():
            value = function()
    except Exception as error:
        raise DataError(f"--data {spec} failed: {type(error).__name__}: {error}") from error
    source, known = f"--data {spec}", shapes or {"": input_shape}
    if isinstance(value, Mapping):
        return _from_dict(source, value, known)
    if _is_dataset(value):
        return RawData({"train": _from_dataset(source, value, known)})
    if isinstance(value, (tuple, list)) and len(value) in (2, 3):
        if all(isinstance(item, tuple) and len(item) == 2 for item in value):
            names = ("train", "test") if len(value) == 2 else ("train", "search", "test")
            return RawData({name: _pair(source, name, item) for name, item in zip(names, value, strict=True)})
        if len(value) == 2:
            return RawData({"train": _pair(source, "train", value)})
    raise DataError(f"{source} returned {type(value).__name__}. {RETURNS}")


def _from_dict(source: str, value: Mapping[Any, Any], shapes: Shapes) -> RawData:
    value = _flattened(value)
    keys = [str(key) for key in value]
    if any(key.partition(":")[0] in KEYS for key in keys):
        return raw_data(source, {key: _array(source, key, value[key]) for key in check_keys(source, keys)})
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
        splits[split] = _from_dataset(source, item, shapes) if _is_dataset(item) else _pair(source, split, item)
    if not splits:
        raise DataError(f"{source} returned an empty dict. {RETURNS}")
    return RawData(splits)


def _flattened(value: Mapping[Any, Any]) -> dict[Any, Any]:
    """``{"x_train": {"left": ...}}`` as ``{"x_train:left": ...}``."""
    found: dict[Any, Any] = {}
    for key, item in value.items():
        if key in KEYS and isinstance(item, Mapping):
            found |= {f"{key}:{name}": part for name, part in item.items()}
        else:
            found[key] = item
    return found


def _pair(source: str, split: str, item: Any) -> Pair:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise DataError(f"{source} returned {type(item).__name__} for the {split} split. {RETURNS}")
    x, y = (_arrays(source, f"{axis}_{split}", part) for axis, part in zip("xy", item, strict=True))
    return x, y


def _arrays(source: str, key: str, value: Any) -> Arrays:
    if not isinstance(value, Mapping):
        return _array(source, key, value)
    return {str(name): _array(source, f"{key}:{name}", part) for name, part in value.items()}


def _array(source: str, key: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{source}: {key} is not an array ({error}). All samples must have one shape.") from error
    if array.ndim == 0:
        raise DataError(f"{source}: {key} is {type(value).__name__}; it must be an array with one row for each sample")
    return array


def _is_dataset(value: Any) -> bool:
    return hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator")


def _from_dataset(source: str, dataset: Any, shapes: Shapes) -> Pair:
    """All samples of a ``tf.data.Dataset``. The shapes of its elements show whether it is batched."""
    spec = dataset.element_spec
    parts = (
        [part for side in spec for part in _named(side).values()] if isinstance(spec, tuple) and len(spec) == 2 else []
    )
    if not parts or not all(hasattr(part, "shape") for part in parts):
        raise DataError(f"{source}: the dataset's elements are {spec}; they must be pairs (x, y) of tensors")
    if int(dataset.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise DataError(f"{source}: the dataset repeats forever. Remove repeat().")
    batched = _is_batched(spec, shapes)
    sides: tuple[dict[str, list[np.ndarray]], ...] = ({}, {})
    for element in dataset.as_numpy_iterator():
        for side, value in zip(sides, element, strict=True):
            for name, part in _named(value).items():
                side.setdefault(name, []).append(part if batched else np.asarray(part)[None])
    if not sides[0]:
        raise DataError(f"{source}: a dataset is empty")
    try:
        x, y = ({name: np.concatenate(values) for name, values in side.items()} for side in sides)
    except ValueError as error:
        raise DataError(f"{source}: the dataset's samples differ in shape ({error}). Resize or pad them.") from error
    return x.get("", x), y.get("", y)


def _named(value: Any) -> dict[str, Any]:
    return {str(name): part for name, part in value.items()} if isinstance(value, Mapping) else {"": value}


def _is_batched(spec: tuple[Any, Any], shapes: Shapes) -> bool:
    xs, ys = (_named(side) for side in spec)
    if any(part.shape.rank == 0 for part in ys.values()):
        return False
    for name, part in xs.items():
        sample = shapes.get(name, next(iter(shapes.values())) if len(xs) == 1 else None)
        if sample is None:  # no input of that name, which is said later
            continue
        expected, given = sample[1:], part.shape.as_list()
        if len(given) == len(expected) and all(b is None or a == b for a, b in zip(given, expected, strict=True)):
            return False
    return True
