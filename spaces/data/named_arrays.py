"""Several named arrays as one: a structured NumPy array with a field for each input (or output) of a model.

Models with one input keep plain arrays. A structured array has rows, slices, a dtype and an ``.npy`` format like any
other array. So the same code handles splits, calibration samples and predictions of models with several inputs and
outputs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def pack(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """One structured array (n,) from named arrays (n, *shape). Raises ``ValueError`` if their lengths differ."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"arrays of different lengths cannot be packed: {lengths}")
    packed = np.empty(next(iter(lengths.values())), row_type({n: (a.dtype, a.shape[1:]) for n, a in arrays.items()}))
    for name, array in arrays.items():
        packed[name] = array
    return packed


def row_type(fields: Mapping[str, tuple[np.dtype, tuple[int, ...]]]) -> np.dtype:
    """The dtype of a row, with a field for each name, in order."""
    return np.dtype([(name, np.dtype(dtype).newbyteorder("="), shape) for name, (dtype, shape) in fields.items()])


def is_packed(array: np.ndarray) -> bool:
    """True if the array is structured, with several named arrays."""
    return array.dtype.names is not None


def unpack(array: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays (n, *shape) by name, in order; a plain array gets an empty name: ``{"": array}``."""
    names: tuple[str, ...] | None = array.dtype.names
    return {"": array} if names is None else {name: array[name] for name in names}


def parts(array: np.ndarray) -> list[np.ndarray]:
    """The arrays in order: one for each field, or the plain array itself."""
    return list(unpack(array).values())


def all_finite(array: np.ndarray) -> bool:
    """True if all floating-point values are finite."""
    return all(np.isfinite(part).all() for part in parts(array) if np.issubdtype(part.dtype, np.floating))


def by_name(array: np.ndarray) -> Any:
    """The form for user functions: a dict of arrays if there are several, else the array."""
    return unpack(array) if is_packed(array) else array


def flat(array: np.ndarray) -> np.ndarray:
    """All values of a row as float32 (n, values). Each of several arrays is divided by its standard deviation."""
    if not is_packed(array):
        return np.asarray(array, np.float32).reshape(len(array), -1)
    columns = [np.asarray(part, np.float32).reshape(len(array), -1) for part in parts(array)]
    return np.concatenate([column / (float(column.std()) or 1.0) for column in columns], axis=1)
