"""``study.db``, the SQLite database for Optuna's storage, and clear error messages for databases."""

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
# Errors of the machine. All other errors of SQLite mean that the file is damaged.
REFUSES = (
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM),
)


@dataclasses.dataclass(frozen=True)
class Database:
    """Optuna's storage, and all connections to a file that were opened for it."""

    storage: Any
    connections: list[sqlite3.Connection] = dataclasses.field(default_factory=list)

    def close(self) -> None:
        """Close all connections.

        A connection that is closed later would remove the write-ahead log of the next database at this path.
        """
        self.storage.remove_session()
        self.storage.engine.dispose()
        for connection in self.connections:
            connection.close()


class StudyLocation(Protocol):
    """Where the copy of the study is kept."""

    @property
    def words(self) -> str:
        """The location, as messages name it."""

    def study_name(self, terms: str) -> str:
        """The name of this run's study for one set of objectives and budgets (``terms``)."""

    def missing(self) -> bool:
        """True if the database is gone. This has a meaning only if it existed before."""

    def open(self) -> Database:
        """Open the database. ``errors`` explains what this raises."""

    def put_aside(self, study: str) -> None:
        """Move or remove an old study, so that a new one can have its name."""

    def errors(self) -> AbstractContextManager[None]:
        """Turn database errors into clear ones: ``HostError`` if it cannot be used, ``RunError`` if it is damaged."""


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
        """Open the file by its path instead of a URL, so that the path may contain any character.

        Raises ``RunError`` if it is a symbolic link, or damaged.
        """
        import optuna
        import sqlalchemy

        if self.path.is_symlink():
            raise RunError(f"{self.path} is a symbolic link")
        opened: list[sqlite3.Connection] = []

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS, check_same_thread=False)
            opened.append(connection)
            # Write-ahead log: no commit waits for the disk. After a power cut, the synced records restore what is lost.
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
        """Keep the old database, with all its studies, next to the new one, in case that somebody needs it."""
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
    """The error of the database itself, without the layers above it."""
    import optuna

    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    found: BaseException = getattr(cause, "orig", None) or cause or error
    return found


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
