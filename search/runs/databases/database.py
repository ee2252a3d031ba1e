"""``study.db``: SQLite behind Optuna's storage, opened by its path alone, and the errors of a database in words."""

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from litetuner.spaces.errors import HostError, RunError

NAME = "study.db"
ASIDE = "study-replaced.db"  # a database that did not agree with the records; nothing reads it
WAIT_SECONDS = 60
# What the machine refuses; everything else that SQLite says is of the file.
REFUSES = (
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM),
)


@dataclasses.dataclass(frozen=True)
class Database:
    """Optuna's storage, and all connections to files that it ever opened."""

    storage: Any
    connections: list[sqlite3.Connection] = dataclasses.field(default_factory=list)

    def close(self) -> None:
        """Close all of them: one that is closed later removes the log of the next database at this path."""
        self.storage.remove_session()
        self.storage.engine.dispose()
        for connection in self.connections:
            connection.close()


class StudyLocation(Protocol):
    """Where the copy of the study is kept."""

    @property
    def words(self) -> str:
        """How messages call it."""

    def study_name(self, terms: str) -> str:
        """The name of this run's study for some objectives and budgets."""

    def missing(self) -> bool:
        """Was it lost, if it was ever there?"""

    def open(self) -> Database:
        """Raises what ``errors`` puts into words."""

    def put_aside(self, study: str) -> None:
        """Make room for a new study of this name."""

    def errors(self) -> AbstractContextManager[None]:
        """Name what the database does not do: ``HostError`` where it refuses, ``RunError`` where it is damaged."""


@dataclasses.dataclass(frozen=True)
class StudyFile:
    """``study.db`` in the folder of a run."""

    folder: Path

    @property
    def path(self) -> Path:
        return (self.folder / NAME).absolute()

    @property
    def words(self) -> str:
        return str(self.folder / NAME)

    def study_name(self, terms: str) -> str:
        return terms

    def missing(self) -> bool:
        return not self.path.exists()

    def open(self) -> Database:
        """The path is no part of a URL, so that it may hold any character. Raises ``RunError`` where it is a link."""
        import optuna
        import sqlalchemy

        if self.path.is_symlink():
            raise RunError(f"{self.path} is a symbolic link")
        opened: list[sqlite3.Connection] = []

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS, check_same_thread=False)
            opened.append(connection)
            # Write-ahead log: no commit waits for the disk. What a power cut loses, the synced records tell again.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection

        try:
            if self.path.exists():
                with contextlib.closing(connect()) as connection:
                    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                if found != "ok":
                    raise RunError(f"{self.path}: {found}")
            settings = {"creator": connect, "poolclass": sqlalchemy.pool.QueuePool}
            return Database(optuna.storages.RDBStorage("sqlite://", engine_kwargs=settings), opened)
        except BaseException:
            for connection in opened:
                connection.close()
            raise

    def put_aside(self, study: str) -> None:
        """The old database, with all studies in it, is kept beside the new one, in case that it is somebody's."""
        for log in ("-wal", "-shm", "-journal"):
            self.path.with_name(NAME + log).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.path, self.path.with_name(ASIDE))

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """See ``StudyLocation.errors``."""
        import optuna
        import sqlalchemy

        try:
            yield
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DatabaseError, sqlite3.DatabaseError) as error:
            cause = cause_of(error)
            words = first_line(cause)
            if (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF in REFUSES:
                raise HostError(
                    f"cannot write {self.words}: {words}. Free some space and repeat the command: it resumes with all that "
                    "was recorded."
                ) from error
            raise RunError(
                f"{self.words} is damaged ({words}). Repeat the command: the records of all trials are kept, and the study "
                "is filled again from them."
            ) from error


def cause_of(error: BaseException) -> BaseException:
    """What the database itself said, without the layers above it."""
    import optuna

    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    found: BaseException = getattr(cause, "orig", None) or cause or error
    return found


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
