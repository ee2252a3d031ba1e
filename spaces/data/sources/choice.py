"""Data sources: an ``.npz``, a table, a folder of images, or a function of the user."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from litetuner.spaces.data.raw import RawData, check_keys, raw_data
from litetuner.spaces.data.sources.functions import read_function
from litetuner.spaces.data.sources.images import read_images
from litetuner.spaces.data.sources.streams import Streams
from litetuner.spaces.data.sources.tables import SUFFIXES, read_table
from litetuner.spaces.errors import DataError, nearest
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.user_function import is_function


def read_source(
    source: str,
    inputs: Sequence[TensorInfo],
    *,
    resize: Sequence[str] = ("bilinear",),
    label: str | None = None,
    streams: Streams | None = None,
) -> RawData:
    """Read a folder of images, an ``.npz`` file, a table, or what ``module:function`` returns. Raises ``DataError``.

    ``inputs`` are the model's: images are resized to the only one. ``label`` is the column of a table's labels.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return read_images(path, inputs[0], resize)
    if path.is_file():
        return read_table(path, label) if path.suffix.lower() in SUFFIXES else read_npz(path)
    if is_function(source):
        return read_function(source, inputs[0].shape, {item.name: item.shape for item in inputs}, streams)
    hint = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else ""
    raise DataError(
        f"--data {source}: there is no such file or folder{hint}. "
        "Give an .npz, a .csv, a .parquet, a folder of class folders of images, or module:function."
    )


def read_npz(path: Path) -> RawData:
    """Arrays of an ``.npz``: ``x_train, y_train`` and, where there are, ``x_search, y_search, x_test, y_test``.

    Of several inputs (outputs) ``x_train:<input>`` (``y_train:<output>``) each. Pickled objects are never read. Other
    keys are left out, with a note, unless they look like a misspelling.
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
    return raw_data(str(path), arrays, notes)


def _read_member(path: Path, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        return np.asarray(archive[key])
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: {key} cannot be read as a plain array ({error}). Python objects, such as lists of different lengths, "
            "are refused: store arrays of numbers."
        ) from error
