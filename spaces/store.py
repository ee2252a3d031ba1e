"""Blobs by sha256, and files that are written completely or not at all."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from litetuner.spaces.errors import HostError, RunError

# A disk that is full, over its quota or broken: a problem of the machine, not of the chosen folder.
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def cannot_write(path: Path, error: OSError) -> HostError | RunError:
    """The error for a file that cannot be written: ``HostError`` where the disk refuses, ``RunError`` where the folder does."""
    if error.errno in DISK_REFUSES:
        return HostError(
            f"cannot write {path}: {error.strerror}. Free some space and repeat the command: it resumes with all that "
            "was recorded. (Another folder can be chosen with --out.)"
        )
    return RunError(f"cannot write {path}: {error.strerror}. Choose another folder with --out.")


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write a whole file: temporary file, fsync, rename, fsync of the folder. Raises ``HostError`` when the disk
    is full, ``RunError`` when the folder cannot be written.

    Without ``durable`` a power cut may leave the file empty (a killed process may not): enough for files that can be rebuilt.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = str(path.with_name(f".{path.name}.{secrets.token_hex(4)}"))
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        if not durable:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write JSON atomically, keys in the order given, readable."""
    write_atomic(path, json.dumps(value, indent=1) + "\n", durable=durable)


@dataclasses.dataclass(frozen=True)
class Store:
    """Blobs in one folder; a blob's name is its sha256 and a suffix (``.tflite``, ``.npz``, ``.npy``).

    What is read is verified, so a torn or altered file is never used.
    """

    folder: Path
    durable: bool = False

    def put(self, content: bytes, suffix: str) -> str:
        """Keep a blob and return its name, ``<sha256><suffix>``."""
        name = hashlib.sha256(content).hexdigest() + suffix
        path = self.folder / name
        if not path.exists() or path.stat().st_size != len(content):
            write_atomic(path, content, durable=self.durable)
        return name

    def get(self, name: str) -> bytes:
        """The blob. Raises ``RunError`` when it is missing or its content is not what its name says."""
        path = self.path(name)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != name.partition(".")[0]:
            raise RunError(
                f"{path} was altered: its content does not match its name. Remove it; the search makes it again."
            )
        return content

    def path(self, name: str) -> Path:
        """The path of a blob. Raises ``RunError`` when it is missing."""
        path = self.folder / name
        if not path.is_file():
            raise RunError(f"{path} is missing. Repeat the search command; it makes it again.")
        return path

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()
