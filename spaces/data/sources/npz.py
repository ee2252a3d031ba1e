"""Data from an ``.npz``. Large arrays are memory-mapped, so that only the rows in use are in memory."""

import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.data.raw import RawData, check_keys, raw_data
from litetuner.spaces.errors import DataError
from litetuner.spaces.store import cannot_write

LARGE_BYTES = 1 << 26  # arrays of at least this size are mapped
BLOCK_BYTES = 1 << 22
# The local header of a zip member: 30 bytes, of which the last 4 are the lengths of the name and the extra field.
_LOCAL_HEADER, _LENGTHS = 30, slice(26, 30)


def read_npz(path: Path, scratch: Path | None = None) -> RawData:
    """Arrays of an ``.npz``: ``x_train, y_train`` and optionally ``x_search, y_search, x_test, y_test``.

    A model with several inputs (outputs) has one array ``x_train:<input>`` (``y_train:<output>``) for each. Pickled
    objects are never read. Other keys are ignored with a note, unless they look misspelled. Large compressed arrays are
    unpacked into unnamed files in ``scratch`` (``None``: the system's temporary folder).
    """
    check_npz(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = check_keys(f"{path}", archive.files)
            arrays = {key: _read_member(path, archive, key, scratch) for key in keys}
            ignored = sorted(set(archive.files) - set(keys))
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Is it complete?") from error
    notes = (f"keys of {path.name} that are not used: {', '.join(ignored)}",) if ignored else ()
    return raw_data(str(path), arrays, notes)


def check_npz(path: Path) -> None:
    """Raise ``DataError`` for a file that is not an ``.npz``."""
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path} is not an .npz file, or is incomplete. Write one with np.savez_compressed(path, x_train=..., y_train=...), "
            "or give a folder of class folders of images, or module:function."
        )


def _read_member(path: Path, archive: Any, key: str, scratch: Path | None) -> np.ndarray:
    try:
        member = next((item for item in archive.zip.infolist() if item.filename == f"{key}.npy"), None)
        if member is None or member.file_size < LARGE_BYTES:
            return np.asarray(archive[key])
        return _mapped(path, archive.zip, member, scratch)
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: {key} cannot be read as a plain array ({error}). Python objects, such as lists of different lengths, "
            "are refused: store arrays of numbers."
        ) from error


def _mapped(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, scratch: Path | None) -> np.ndarray:
    """A member as a memory-mapped array: in place, or in an unpacked copy if it is compressed.

    It is read completely once, so that ``zipfile`` verifies its checksum.
    """
    stored = member.compress_type == zipfile.ZIP_STORED
    file: Any = path.open("rb") if stored else tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 (lives as long as the array)
    start = 0
    if stored:
        file.seek(member.header_offset)
        lengths = file.read(_LOCAL_HEADER)[_LENGTHS]
        start = member.header_offset + _LOCAL_HEADER + sum(np.frombuffer(lengths, "<u2").tolist())
    with archive.open(member) as content:
        while block := content.read(BLOCK_BYTES):
            if not stored:
                _write(file, block)
    file.flush()
    file.seek(start)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("object arrays cannot be loaded when allow_pickle=False")
    return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _write(file: Any, block: bytes) -> None:
    try:
        file.write(block)
    except OSError as error:
        raise cannot_write(Path(tempfile.gettempdir()), error) from error
