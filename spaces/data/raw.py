"""Raw data: the arrays of a source by split, and their keys."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from litetuner.spaces.errors import DataError, nearest


class Rows(Protocol):
    """Samples (n, ...) from which rows can be read as an array: an array, or an object that reads them on demand."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


Samples = Rows | dict[str, Rows]
Arrays = np.ndarray | dict[str, np.ndarray]
KEYS = tuple(f"{axis}_{split}" for split in ("train", "search", "test") for axis in "xy")
EXTRAS = ("w_train", "g_search", "g_test")  # sample weights for training, sample groups for the metric
SYNONYMS = dict.fromkeys(("val", "valid", "validation", "dev"), "search")  # other names of the search split


@dataclasses.dataclass(frozen=True)
class RawData:
    """Samples (n, ...) and labels (n, ...) by split, unchanged; dicts by name for several inputs or outputs.

    ``extras`` (n,) are weights and groups of samples by key (``EXTRAS``).

    Labels of the train split may be missing (``None``): its samples are then used for calibration, not for training.
    """

    splits: Mapping[str, tuple[Samples, Arrays | None]]
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    extras: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def check_keys(source: str, found: list[str]) -> list[str]:
    """The keys that are used. Raises ``DataError`` if none is used, or one seems to be misspelled."""
    used = [key for known in (*KEYS, *EXTRAS) for key in found if key.partition(":")[0] == known]
    for key in found:
        if key in used:
            continue
        axis, _, split = key.partition("_")
        synonym = f"{axis}_{SYNONYMS[split]}" if axis in ("x", "y") and split in SYNONYMS else None
        near = f" (did you mean {synonym!r}?)" if synonym else nearest(key.lower(), KEYS)
        hint = near or ". Rename the arrays: x_train holds the samples, y_train their labels."
        misspelt = key[:2].lower() in ("x_", "y_") or difflib.get_close_matches(key, KEYS, n=1, cutoff=0.7)
        if misspelt or not used:
            listed = ", ".join(map(str, found))
            raise DataError(f"{source} has the key {key!r}{hint} Known keys: {', '.join(KEYS)}. It has: {listed}.")
    if not used:
        raise DataError(f"{source} holds no arrays. It must have x_train and y_train, or x_search and y_search.")
    return used


def _gather(source: str, kind: str, given: dict[str, np.ndarray]) -> Arrays | None:
    """The value of ``x_train`` or another kind in a source.

    An array, or arrays by name (``left`` for ``x_train:left``).
    """
    found = {key.partition(":")[2]: array for key, array in given.items() if key.partition(":")[0] == kind}
    if len(found) > 1 and "" in found:
        named = next(name for name in found if name)
        raise DataError(f"{source} has both {kind} and {kind}:{named}. Name all of them by input, or none.")
    return found.get("", found or None)


def raw_data(source: str, given: dict[str, np.ndarray], notes: tuple[str, ...] = ()) -> RawData:
    """Raw data from arrays by key. Raises the errors of ``_pair_splits``."""
    extras = {key: given[key] for key in EXTRAS if key in given}
    return RawData(_pair_splits(source, given), notes=notes, extras=extras)


def _pair_splits(source: str, given: dict[str, np.ndarray]) -> dict[str, tuple[Arrays, Arrays | None]]:
    """Pairs of ``x_*`` and ``y_*`` by split. Only ``y_train`` may be missing. Raises ``DataError``."""
    splits = {}
    gathered = {kind: _gather(source, kind, given) for kind in KEYS}
    arrays = {kind: value for kind, value in gathered.items() if value is not None}
    for split in ("train", "search", "test"):
        x_key, y_key = f"x_{split}", f"y_{split}"
        if (x_key in arrays) != (y_key in arrays) and (split, x_key in arrays) != ("train", True):
            there, missing = (x_key, y_key) if x_key in arrays else (y_key, x_key)
            raise DataError(f"{source} has {there} but no {missing}. Give both.")
        if x_key not in arrays:
            continue
        for key, array in given.items():
            if key.partition(":")[0] in (x_key, y_key) and array.ndim == 0:
                raise DataError(f"{source}: {key} is a single value; it must be an array with one row for each sample")
        splits[split] = (arrays[x_key], arrays.get(y_key))
    return splits
