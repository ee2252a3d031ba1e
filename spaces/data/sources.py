"""Where data come from: an ``.npz``, a folder of images, a function of the user."""

from __future__ import annotations

import dataclasses
import difflib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from litetuner.spaces.errors import DataError, nearest
from litetuner.spaces.user_function import is_function

Arrays = np.ndarray | dict[str, np.ndarray]
KEYS = tuple(f"{axis}_{split}" for split in ("train", "search", "test") for axis in "xy")
SYNONYMS = {
    "val": "search",
    "valid": "search",
    "validation": "search",
    "dev": "search",
}  # what others call the search split


@dataclasses.dataclass(frozen=True)
class RawData:
    """What a source holds: samples (n, ...) and labels (n, ...) of the splits it has, as they are.

    Either is a dict by name where the source has several of a split, for models with several inputs or outputs.
    """

    splits: Mapping[str, tuple[Arrays, Arrays]]
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def read_source(
    source: str, input_shape: tuple[int | None, ...], shapes: Mapping[str, tuple[int | None, ...]] | None = None
) -> RawData:
    """Read a source. ``input_shape`` is the model's, with batch axis: images are resized to it; ``shapes`` those of several
    inputs by name.

    An existing folder is read as images, an existing file as ``.npz``, else ``module:function`` is called; see
    ``read_npz``, ``read_images`` and ``read_function``. Raises ``DataError``.
    """
    from litetuner.spaces.data.functions import read_function
    from litetuner.spaces.data.images import read_images

    path = Path(source).expanduser()
    if path.is_dir():
        return read_images(path, input_shape)
    if path.is_file():
        return read_npz(path)
    if is_function(source):
        return read_function(source, input_shape, shapes or {})
    hint = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else ""
    raise DataError(
        f"--data {source}: there is no such file or folder{hint}. "
        "Give an .npz, a folder of class folders of images, or module:function."
    )


def read_npz(path: Path) -> RawData:
    """Arrays of an ``.npz``: ``x_train, y_train`` and, where there are, ``x_search, y_search, x_test, y_test``.

    For a model with several inputs ``x_train:<input>`` for each, with several outputs ``y_train:<output>`` likewise.

    Pickled objects are never read. Other keys are left out, with a note, unless they look like a misspelling.
    """
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path} is not an .npz file, or is incomplete. Write one with np.savez_compressed(path, x_train=..., y_train=...), "
            "or give a folder of class folders of images, or module:function."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = check_keys(f"{path}", archive.files)
            arrays = {}
            for key in keys:
                arrays[key] = _read_member(path, archive, key)
            ignored = sorted(set(archive.files) - set(keys))
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Is it complete?") from error
    notes = (f"keys of {path.name} that are not used: {', '.join(ignored)}",) if ignored else ()
    return RawData(pair_splits(str(path), arrays), notes=notes)


def _read_member(path: Path, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        return np.asarray(archive[key])
    except ValueError as error:
        raise DataError(
            f"{path}: {key} cannot be read as a plain array ({error}). Python objects, such as lists of different lengths, "
            "are refused: store arrays of numbers."
        ) from error


def check_keys(source: str, found: list[str]) -> list[str]:
    """Those of the found keys that are used. Raises ``DataError`` when none is, or one looks misspelt."""
    used = [key for known in KEYS for key in found if _split_key(key)[0] == known]
    for key in found:
        if key in used:
            continue
        axis, _, split = key.partition("_")
        synonym = f"{axis}_{SYNONYMS[split]}" if axis in ("x", "y") and split in SYNONYMS else None
        hint = f" (did you mean {synonym!r}?)" if synonym else nearest(key, KEYS)
        misspelt = key[:2].lower() in ("x_", "y_") or difflib.get_close_matches(key, KEYS, n=1, cutoff=0.7)
        if misspelt or not used:
            listed = ", ".join(map(str, found))
            raise DataError(
                f"{source} has the key {key!r}{hint or '.'} Known keys: {', '.join(KEYS)}. It has: {listed}."
            )
    if not used:
        raise DataError(f"{source} holds no arrays. It must have x_train and y_train, or x_search and y_search.")
    return used


def _split_key(key: str) -> tuple[str, str]:
    """``x_train:left`` is of ``x_train`` and named ``left``; a plain key has no name."""
    kind, _, name = key.partition(":")
    return kind, name


def _gather(source: str, kind: str, given: dict[str, np.ndarray]) -> Arrays | None:
    """What a source has of ``x_train`` or another kind: an array, or arrays by name."""
    found = {_split_key(key)[1]: array for key, array in given.items() if _split_key(key)[0] == kind}
    if len(found) > 1 and "" in found:
        named = next(name for name in found if name)
        raise DataError(f"{source} has both {kind} and {kind}:{named}. Name all of them by input, or none.")
    return found.get("", found or None)


def pair_splits(source: str, given: dict[str, np.ndarray]) -> dict[str, tuple[Arrays, Arrays]]:
    """``x_*`` and ``y_*`` joined by split. Raises ``DataError`` when one of a pair is missing or is a single number."""
    splits = {}
    gathered = {kind: _gather(source, kind, given) for kind in KEYS}
    arrays = {kind: value for kind, value in gathered.items() if value is not None}
    for split in ("train", "search", "test"):
        x_key, y_key = f"x_{split}", f"y_{split}"
        if (x_key in arrays) != (y_key in arrays):
            there, missing = (x_key, y_key) if x_key in arrays else (y_key, x_key)
            raise DataError(f"{source} has {there} but no {missing}. Give both.")
        if x_key not in arrays:
            continue
        for key, array in given.items():
            if _split_key(key)[0] in (x_key, y_key) and array.ndim == 0:
                raise DataError(f"{source}: {key} is a single value; it must be an array with one row for each sample")
        splits[split] = (arrays[x_key], arrays[y_key])
    return splits
