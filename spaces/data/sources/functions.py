"""Data from a user function: arrays, or TensorFlow datasets."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from litetuner.spaces import tf
from litetuner.spaces.data.raw import KEYS, SYNONYMS, Arrays, RawData, check_keys, raw_data
from litetuner.spaces.data.sources.streams import Shapes, Streams
from litetuner.spaces.errors import DataError, nearest
from litetuner.spaces.user_function import load_function

Pair = tuple[Arrays, Arrays | None]
RETURNS = (
    "It must be a dict of arrays (x_train, y_train, x_search, ...), ((x_train, y_train), (x_test, y_test)), (x, y), "
    "a tf.data.Dataset of (x, y), or a dict of such by split (train, search, test). "
    "For several inputs or outputs x or y is a dict of arrays by name."
)


def read_function(
    spec: str, input_shape: tuple[int | None, ...], shapes: Shapes | None = None, streams: Streams | None = None
) -> RawData:
    """Call ``module:function`` without arguments and read the data that it returns.

    It may return a dict of arrays with the keys of an ``.npz``; ``((x_train, y_train), (x_test, y_test))`` like Keras's
    own datasets; ``(x, y)``, all of it train; a ``tf.data.Dataset`` of (x, y), batched or not, all of it train; or a
    dict of datasets or pairs by split (``train``, ``search`` or ``validation``, ``test``). x and y may be dicts of
    arrays by the names of the model's inputs and outputs; ``shapes`` are those of the inputs. Raises ``DataError``.
    """
    tf.load()  # before the user's module imports TensorFlow without legacy Keras
    with tf.quiet_stdout():
        function = load_function(spec, "--data")
    try:
        with tf.quiet_stdout():
            value = function()
    except (Exception, SystemExit) as error:
        raise DataError(f"--data {spec} failed: {type(error).__name__}: {error}") from error
    return read_value(f"--data {spec}", value, shapes or {"": input_shape}, streams or Streams())


def read_value(source: str, value: Any, shapes: Shapes, streams: Streams) -> RawData:
    """Read data that a function returned or ``tune`` got, in the forms of ``read_function``. Raises ``DataError``."""

    def read(name: str, dataset: Any) -> Pair:
        return streams.read(name, dataset, shapes)

    if isinstance(value, Mapping):
        return _from_dict(source, value, read)
    if is_dataset(value):
        return RawData({"train": read(source, value)})
    if isinstance(value, (tuple, list)) and len(value) in (2, 3):
        if all(isinstance(item, tuple) and len(item) == 2 for item in value):
            names = ("train", "test") if len(value) == 2 else ("train", "search", "test")
            return RawData({name: _pair(source, name, item) for name, item in zip(names, value, strict=True)})
        if len(value) == 2:
            return RawData({"train": _pair(source, "train", value)})
    raise DataError(f"{source} is {type(value).__name__}. {RETURNS}")


def _from_dict(source: str, value: Mapping[Any, Any], read: Callable[[str, Any], Pair]) -> RawData:
    value = _flattened(value)
    keys = [str(key) for key in value]
    if any(key.partition(":")[0] in KEYS for key in keys):
        return raw_data(source, {key: _array(source, key, value[key]) for key in check_keys(source, keys)})
    splits: dict[str, Pair] = {}
    known = ("train", "search", "test", *SYNONYMS)
    for key, item in value.items():
        if key not in known:
            raise DataError(
                f"{source} is a dict with the key {key!r}{nearest(str(key), (*known, *KEYS)) or '.'} {RETURNS}"
            )
        split = SYNONYMS.get(key, key)
        if split in splits:
            raise DataError(f"{source} has the {split} split twice, under the keys {', '.join(keys)}")
        splits[split] = read(f"{source}: the {split} split", item) if is_dataset(item) else _pair(source, split, item)
    if not splits:
        raise DataError(f"{source} is an empty dict. {RETURNS}")
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
        raise DataError(f"{source} has {type(item).__name__} for the {split} split. {RETURNS}")
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


def is_dataset(value: Any) -> bool:
    """True for a ``tf.data.Dataset``. The check does not import TensorFlow."""
    return hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator")
