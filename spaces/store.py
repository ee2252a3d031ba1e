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

# The disk is full, over quota or broken: a problem of the machine, not of the chosen folder.
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
CHECKSUM = b',\n "checksum": "'  # separates a record from the checksum at its end
LARGEST_RECORD = 64_000_000  # bytes; a trial with all its raw samples has some tens of kilobytes
MARK = "# Written by litetuner for the run"  # start of the last line of a text with a checksum


def cannot_write(path: Path, error: OSError) -> HostError | RunError:
    """The error for a file that cannot be written: ``HostError`` for a disk problem, ``RunError`` for the folder."""
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
    """A file that gets its name only when it is complete.

    Where the system supports it (``O_TMPFILE``), the file has no name before that: a process killed while writing
    leaves nothing, or a complete hidden file. On other systems the file has a temporary name that begins with a dot.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Open the file. Raises ``OSError``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._temporary = folder / f".{name[:32]}.{secrets.token_hex(4)}"
        self._named = False
        try:
            handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
        except (AttributeError, OSError):  # the system or the file system has no O_TMPFILE
            handle = os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            self._named = True
        self.file = os.fdopen(handle, "w+b")

    def keep(self, path: Path, *, durable: bool = True) -> None:
        """Rename it to ``path``, which must be in its folder. Raises ``OSError``."""
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
            # Python follows the link in /proc only if a folder is given. The absolute path does not use that folder.
            os.link(f"/proc/self/fd/{self.file.fileno()}", self._temporary, src_dir_fd=self.file.fileno())
        except OSError:
            with open(self._temporary, "xb") as named:
                self.file.seek(0)
                shutil.copyfileobj(self.file, named)
                named.flush()
                os.fsync(named.fileno())

    def close(self) -> None:
        try:
            self.file.close()  # flushes the buffer, which fails on a full disk
        finally:
            self._temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write a complete file: temporary file, fsync, rename, fsync of the folder.

    Raises ``HostError`` if the disk is full, ``RunError`` if the folder cannot be written. Without ``durable`` a power
    failure may leave an empty file (a killed process does not). That is enough for files that can be rebuilt.
    """
    try:
        with contextlib.closing(NewFile(path.parent, path.name)) as new:
            new.file.write(content.encode() if isinstance(content, str) else content)
            new.keep(path, durable=durable)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_json(path: Path, record: dict[str, Any], *, seal: str = "", durable: bool = True) -> None:
    """Write a record atomically as readable JSON, with its keys in the given order.

    Its last key is a checksum of the record and of ``seal``. The seal identifies what the record belongs to, so that a
    record copied from elsewhere is rejected.
    """
    body = json.dumps(record, indent=1).removesuffix("\n}").encode()
    write_atomic(path, body + _end(body, seal), durable=durable)


def read_json(path: Path, *, seal: str = "", remedy: str = "") -> dict[str, Any]:
    """Read a record that ``write_json`` wrote.

    Raises ``RunError``, ending with ``remedy``, if the checksum does not match.
    """
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
    except (ValueError, RecursionError) as error:  # invalid JSON with a valid checksum
        raise RunError(f"{path} is no record: {str(error)[:100]}. {remedy}".rstrip()) from error
    return found


def _parsed(content: bytes) -> Any:
    """Parse JSON with pydantic, or with Python's ``json`` if pydantic rejects it.

    Python's parser takes 1.5 times as long and says what is wrong.
    """
    try:
        return pydantic_core.from_json(content)
    except ValueError:
        return json.loads(content)


def check_size(path: Path, remedy: str, opened: int | None = None) -> None:
    """Raise ``RunError``, ending with ``remedy``, for a file too large to be a record.

    It is called before the file is read into memory.
    """
    if os.stat(path if opened is None else opened).st_size > LARGEST_RECORD:
        raise RunError(f"{path} has more than {LARGEST_RECORD // 1_000_000} MB, which no record has. {remedy}".rstrip())


def read_end(path: Path) -> bytes:
    """The content of a log; of a huge log only the last ``LARGEST_RECORD`` bytes."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LARGEST_RECORD))
        return file.read(LARGEST_RECORD)


def _end(body: bytes, seal: str) -> bytes:
    return CHECKSUM + hashlib.sha256(body + seal.encode()).hexdigest().encode() + b'"\n}\n'


def seal_text(text: str, seal: str) -> str:
    """A human-readable text with a last line that holds ``seal`` and a checksum of the text and the seal."""
    return f"{text}{MARK} {seal} {hashlib.sha256(f'{text}{seal}'.encode()).hexdigest()}\n"


def seal_of(content: bytes) -> str | None:
    """The seal in the last line of a text; ``None`` without such a line. Raises ``ValueError`` for a wrong checksum."""
    text, mark, line = content.rpartition(f"{MARK} ".encode())
    if not mark:
        return None
    seal = line.decode(errors="replace").split(" ")[0]
    if seal_text(text.decode(errors="replace"), seal).encode() != content:
        raise ValueError("its checksum does not match")
    return seal


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, and create its folder. Raises ``HostError`` or ``RunError``.

    A symbolic link is not followed.
    """
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
    """True if the file has this sha256. A file that is unchanged since this process last read it is not read again."""
    try:
        about = path.stat()
        return _sha256_of(path.absolute(), about.st_size, about.st_mtime_ns, about.st_ino) == sha256
    except OSError:
        return False


@dataclasses.dataclass(frozen=True)
class Store:
    """Blobs in one folder; the name of a blob is its sha256 and a suffix (``.tflite``, ``.npz``, ``.npy``).

    Blobs are verified when they are read, so a damaged or altered file is never used. ``remedy`` says how to create a
    blob again.
    """

    folder: Path
    durable: bool = False
    remedy: str = "Repeat the search command: it makes it again."

    def put(self, content: bytes, suffix: str) -> str:
        """Store a blob and return its name, ``<sha256><suffix>``."""
        name = hashlib.sha256(content).hexdigest() + suffix
        if not self.has(name):
            write_atomic(self.folder / name, content, durable=self.durable)
        return name

    def get(self, name: str) -> bytes:
        """The content of a blob. Raises ``RunError`` if it is missing or does not match its name."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError:
            content = None
        if content is None or hashlib.sha256(content).hexdigest() != name.partition(".")[0]:
            raise self._unusable(name)
        return content

    def path(self, name: str) -> Path:
        """The path of a blob, for code that reads it as a file. Raises ``RunError`` as ``get`` does."""
        if not self.has(name):
            raise self._unusable(name)
        return self.folder / name

    def has(self, name: str) -> bool:
        """True if the blob exists and its content matches its name."""
        return verified(self.folder / name, name.partition(".")[0])

    def _unusable(self, name: str) -> RunError:
        path = self.folder / name
        what = "was altered: its content does not match its name" if path.exists() else "is missing"
        return RunError(f"{path} {what}. {self.remedy}")
