"""``study.db``: SQLite behind Optuna's storage, opened by its path alone, and the errors of a database in words."""

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Iterator
from typing import Any

from litetuner.search.runs.folder import RunFolder
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
    """Optuna's storage, and all connections that it ever opened."""

    storage: Any
    connections: list[sqlite3.Connection]

    def close(self) -> None:
        """Close all of them: one that is closed later removes the log of the next database at this path."""
        self.storage.remove_session()
        self.storage.engine.dispose()
        for connection in self.connections:
            connection.close()


def open_database(folder: RunFolder) -> Database:
    """The database of a run. The path is no part of a URL, so that it may hold any character.

    Raises an error of SQLite's, SQLAlchemy's or Optuna's where the file is damaged, ``RunError`` where it is a link.
    """
    import optuna
    import sqlalchemy

    path = (folder.path / NAME).absolute()
    if path.is_symlink():
        raise RunError(f"{path} is a symbolic link")

    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=WAIT_SECONDS, check_same_thread=False)
        opened.append(connection)
        # Write-ahead log: no commit waits for the disk. What a power cut loses, the synced records tell again.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    try:
        if path.exists():
            with contextlib.closing(connect()) as connection:
                (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise RunError(f"{path}: {found}")
        settings = {"creator": connect, "poolclass": sqlalchemy.pool.QueuePool}
        return Database(optuna.storages.RDBStorage("sqlite://", engine_kwargs=settings), opened)
    except BaseException:
        for connection in opened:
            connection.close()
        raise


def put_aside(folder: RunFolder) -> None:
    """Make room for a new database. The old one is kept beside it, in case that it is somebody's."""
    path = folder.path / NAME
    for log in ("-wal", "-shm", "-journal"):
        path.with_name(NAME + log).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, path.with_name(ASIDE))


@contextlib.contextmanager
def database_errors(folder: RunFolder) -> Iterator[None]:
    """Name what the database does not do: ``HostError`` where the machine refuses, ``RunError`` where ``study.db`` is damaged."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        cause = getattr(cause, "orig", None) or cause or error
        words, path = (str(cause).splitlines() or ["no reason given"])[0], folder.path / NAME
        if (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF in REFUSES:
            raise HostError(
                f"cannot write {path}: {words}. Free some space and repeat the command: it resumes with all that was recorded."
            ) from error
        raise RunError(
            f"{path} is damaged ({words}). Repeat the command: the records of all trials are kept, and the study is filled "
            "again from them."
        ) from error
