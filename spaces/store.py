"""Blobs by sha256, and files that are written completely or not at all."""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import pydantic_core

from litetuner.spaces.errors import HostError, RunError

# A disk that is full, over its quota or broken: a problem of the machine, not of the chosen folder.
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
CHECKSUM = b',\n "checksum": "'  # what stands between a record and the checksum that ends it
LARGEST_RECORD = 64_000_000  # bytes; a trial with all its raw samples has some tens of kilobytes
MARK = "# Written by litetuner for the run"  # begins the last line of a text with a checksum


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


class NewFile:
    """A file that gets its name when it is whole. Where the system lets us it has none before: who is killed while writing
    leaves nothing, or a hidden file that is whole. Elsewhere its name begins with a dot."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises ``OSError``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._temporary = folder / f".{name[:32]}.{secrets.token_hex(4)}"
        self._named = False
        try:
            handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
        except (AttributeError, OSError):  # another system, another file system
            handle = os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            self._named = True
        self.file = os.fdopen(handle, "w+b")

    def keep(self, path: Path, *, durable: bool = True) -> None:
        """Make it the file ``path`` of its folder. Raises ``OSError``."""
        self.file.flush()
        if durable:
            os.fsync(self.file.fileno())
        if not self._named:
            self._name()
        os.replace(self._temporary, path)
        if not durable:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _name(self) -> None:
        try:
            # Only with a folder, which the absolute path does not use, does Python follow the link in /proc.
            os.link(f"/proc/self/fd/{self.file.fileno()}", self._temporary, src_dir_fd=self.file.fileno())
        except OSError:
            with open(self._temporary, "xb") as named:
                self.file.seek(0)
                shutil.copyfileobj(self.file, named)
                named.flush()
                os.fsync(named.fileno())

    def close(self) -> None:
        try:
            self.file.close()  # writes what is left, which a full disk refuses
        finally:
            self._temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write a whole file: temporary file, fsync, rename, fsync of the folder. Raises ``HostError`` when the disk
    is full, ``RunError`` when the folder cannot be written.

    Without ``durable`` a power cut may leave the file empty (a killed process may not): enough for files that can be rebuilt.
    """
    try:
        with contextlib.closing(NewFile(path.parent, path.name)) as new:
            new.file.write(content.encode() if isinstance(content, str) else content)
            new.keep(path, durable=durable)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_json(path: Path, record: dict[str, Any], *, seal: str = "", durable: bool = True) -> None:
    """Write a record atomically, keys in the order given, readable. Its last key is a checksum of what is before it and
    of ``seal``: what the record belongs to, so that the record of another place is not taken for it."""
    body = json.dumps(record, indent=1).removesuffix("\n}").encode()
    write_atomic(path, body + _end(body, seal), durable=durable)


def read_json(path: Path, *, seal: str = "", remedy: str = "") -> dict[str, Any]:
    """A record that ``write_json`` wrote. Raises ``RunError``, which ends with ``remedy``, where its checksum does not match."""
    with open(path, "rb") as file:
        check_size(path, remedy, file.fileno())
        content = file.read()
    body = content.rpartition(CHECKSUM)[0]
    if not body or body + _end(body, seal) != content:
        raise RunError(
            f"{path} is damaged, was edited, or belongs to another run: its checksum does not match. {remedy}".rstrip()
        )
    try:
        found: dict[str, Any] = _parsed(body + b"}")
    except (ValueError, RecursionError) as error:  # a checksum can be made for any content
        raise RunError(f"{path} is no record: {str(error)[:100]}. {remedy}".rstrip()) from error
    return found


def _parsed(content: bytes) -> Any:
    """JSON. What pydantic does not take is left to Python, which takes half as long again, and knows what is wrong."""
    try:
        return pydantic_core.from_json(content)
    except ValueError:
        return json.loads(content)


def check_size(path: Path, remedy: str, opened: int | None = None) -> None:
    """Raise ``RunError``, which ends with ``remedy``, for a file too large to be a record: it is not read into memory."""
    if os.stat(path if opened is None else opened).st_size > LARGEST_RECORD:
        raise RunError(f"{path} has more than {LARGEST_RECORD // 1_000_000} MB, which no record has. {remedy}".rstrip())


def read_end(path: Path) -> bytes:
    """A log, of a huge one the end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LARGEST_RECORD))
        return file.read(LARGEST_RECORD)


def _end(body: bytes, seal: str) -> bytes:
    return CHECKSUM + hashlib.sha256(body + seal.encode()).hexdigest().encode() + b'"\n}\n'


def seal_text(text: str, seal: str) -> str:
    """A text that people read, with a last line that holds ``seal`` and a checksum of text and seal."""
    return f"{text}{MARK} {seal} {hashlib.sha256(f'{text}{seal}'.encode()).hexdigest()}\n"


def seal_of(content: bytes) -> str | None:
    """The seal in the last line of a text, ``None`` without such a line. Raises ``ValueError`` where the checksum is wrong."""
    text, mark, line = content.rpartition(f"{MARK} ".encode())
    if not mark:
        return None
    seal = line.decode(errors="replace").split(" ")[0]
    if seal_text(text.decode(errors="replace"), seal).encode() != content:
        raise ValueError("its checksum does not match")
    return seal


def open_log(path: Path) -> BinaryIO:
    """A log to append to, with its folder. A symbolic link is not followed. Raises ``HostError`` or ``RunError``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666), "ab")
    except OSError as error:
        raise cannot_write(path, error) from error


def append(path: Path, content: bytes) -> None:
    """Append to a log. Raises ``HostError`` or ``RunError``."""
    with open_log(path) as file:
        try:
            file.write(content)
            file.flush()
        except OSError as error:
            raise cannot_write(path, error) from error


@functools.lru_cache(maxsize=100_000)
def _sha256_of(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    return file_sha256(path)


def verified(path: Path, sha256: str) -> bool:
    """Is this a file of that content? One that has not changed since this process last looked is not read again."""
    try:
        about = path.stat()
        return _sha256_of(path.absolute(), about.st_size, about.st_mtime_ns, about.st_ino) == sha256
    except OSError:
        return False


@dataclasses.dataclass(frozen=True)
class Store:
    """Blobs in one folder; a blob's name is its sha256 and a suffix (``.tflite``, ``.npz``, ``.npy``).

    What is read is verified, so a torn or altered file is never used. ``remedy`` says how a blob is made again.
    """

    folder: Path
    durable: bool = False
    remedy: str = "Repeat the search command: it makes it again."

    def put(self, content: bytes, suffix: str) -> str:
        """Keep a blob and return its name, ``<sha256><suffix>``."""
        name = hashlib.sha256(content).hexdigest() + suffix
        if not self.has(name):
            write_atomic(self.folder / name, content, durable=self.durable)
        return name

    def get(self, name: str) -> bytes:
        """The blob. Raises ``RunError`` when it is missing or its content is not what its name says."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError:
            content = None
        if content is None or hashlib.sha256(content).hexdigest() != name.partition(".")[0]:
            raise self._unusable(name)
        return content

    def path(self, name: str) -> Path:
        """The path of a blob, for what reads it as a file. Raises ``RunError`` as ``get`` does."""
        if not self.has(name):
            raise self._unusable(name)
        return self.folder / name

    def has(self, name: str) -> bool:
        """Is the blob there, and its content what its name says?"""
        return verified(self.folder / name, name.partition(".")[0])

    def _unusable(self, name: str) -> RunError:
        path = self.folder / name
        what = "was altered: its content does not match its name" if path.exists() else "is missing"
        return RunError(f"{path} {what}. {self.remedy}")
