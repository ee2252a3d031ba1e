"""The arrays of the data as blobs, written completely and hashed while they are written."""

import contextlib
import hashlib
import io
import math
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.store import NewFile, Store, cannot_write

SPLITS = ("train", "search", "test")
LARGE_BYTES = 1 << 28  # pages of mapped files of at least this size are released
CHUNK_BYTES = 1 << 22
IN_MEMORY_BYTES = 1 << 26  # arrays of at least this size are created in a file


def open_split(store: Store, arrays: Mapping[str, str], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, *sample) and labels (n, ...) of a prepared split, verified, memory-mapped and read-only.

    The format of labels depends on the task (``labels.py``). Several inputs, or labels of several outputs, are a
    structured array (n,) with a field for each (``named_arrays.py``). Raises ``RunError`` if the arrays are missing.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}, only {', '.join(SPLITS)}")
    return open_array(store, arrays[f"x_{split}"]), open_array(store, arrays[f"y_{split}"])


def open_array(store: Store, blob: str) -> np.ndarray:
    """A prepared array, verified, memory-mapped and read-only. Raises ``RunError`` if it is missing."""
    found: np.ndarray = np.load(store.path(blob), mmap_mode="r", allow_pickle=False)
    return found


def release(array: np.ndarray) -> None:
    """Release the pages of a large memory-mapped array: after reading, they count as memory of this process."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.base if isinstance(base, np.ndarray) else None
    if base is not None and len(base) >= LARGE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def new_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialized array, in memory or, if it is large, mapped from an unnamed file. Raises ``HostError``."""
    size = math.prod(shape) * dtype.itemsize
    if size < IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # otherwise a full disk would kill the process while it writes
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise cannot_write(Path(tempfile.gettempdir()), error) from error


def chunks(array: np.ndarray, rows: np.ndarray | None = None, size: int = 0) -> Iterator[np.ndarray]:
    """Parts of an array (n, ...), or of some ``rows``, with ``size`` rows or about 4 MB. It may exceed the memory."""
    size = size or max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array) if rows is None else len(rows), size):
        part = slice(start, start + size)
        yield array[part] if rows is None else array[rows[part]]
        release(array)


class ArrayWriter:
    """Writes arrays batch by batch into a store.

    ``arrays`` maps their names to blobs, ``sha256`` is the hash of all arrays together.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.arrays: dict[str, str] = {}
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, name: str, shape: tuple[int, ...], dtype: np.dtype, batches: Iterable[np.ndarray]) -> None:
        """Write a complete array from batches of its rows. Raises ``HostError`` (disk full) or ``RunError``."""
        path, own = self.store.folder / f"{name}.npy", hashlib.sha256()
        self._hash.update(f"{name} {dtype.descr if dtype.names else dtype.str} {shape}".encode())
        try:
            with contextlib.closing(NewFile(path.parent, name)) as new:
                header = io.BytesIO()
                described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(header, described)
                new.file.write(header.getvalue())
                own.update(header.getvalue())
                for batch in batches:
                    content = np.ascontiguousarray(batch, dtype).reshape(-1).view(np.uint8).data
                    new.file.write(content)
                    own.update(content)
                    self._hash.update(content)
                self.arrays[name] = f"{own.hexdigest()}.npy"
                new.keep(path.with_name(self.arrays[name]))
        except OSError as error:
            raise cannot_write(path, error) from error
