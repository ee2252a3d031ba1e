"""Plain arrays on disk, one file each, written whole and hashed on the way."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from litetuner.spaces.errors import DataError
from litetuner.spaces.store import cannot_write

SPLITS = ("train", "search", "test")


def open_split(folder: Path | str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, *sample) and labels (n, ...) of a prepared split, memory-mapped and read-only.

    Labels are stored by task (``labels.py``). Several inputs, or labels of several outputs, are a structured array (n,) with a
    field for each (``named_arrays.py``). Raises ``DataError`` when they are not there.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}, only {', '.join(SPLITS)}")
    return open_array(folder, f"x_{split}"), open_array(folder, f"y_{split}")


def open_array(folder: Path | str, name: str) -> np.ndarray:
    """A prepared array, such as ``w_train``, memory-mapped and read-only. Raises ``DataError`` when it is not there."""
    path = Path(folder) / f"{name}.npy"
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Repeat the search command; it prepares the data again."
        ) from error
    return found


class ArrayWriter:
    """Writes ``<folder>/<name>.npy`` batch by batch and keeps one sha256 over names, types, shapes and contents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, name: str, shape: tuple[int, ...], dtype: np.dtype, batches: Iterable[np.ndarray]) -> None:
        """Write an array whole from batches of its rows. Raises ``HostError`` (disk full) or ``RunError``."""
        path = self.folder / f"{name}.npy"
        self._hash.update(f"{name} {dtype.descr if dtype.names else dtype.str} {shape}".encode())
        temporary: str | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
            with os.fdopen(handle, "wb") as file:
                header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for batch in batches:
                    content = np.ascontiguousarray(batch, dtype).reshape(-1).view(np.uint8).data
                    file.write(content)
                    self._hash.update(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            temporary = None
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            if temporary is not None and os.path.exists(temporary):
                os.unlink(temporary)
