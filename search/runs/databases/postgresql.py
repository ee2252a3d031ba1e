"""The copy of the study on a PostgreSQL server. Messages, files and SQLAlchemy never contain the password."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from litetuner.search.runs.databases.database import Database, cause_of, first_line
from litetuner.spaces.errors import HostError

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 60  # if the server does not answer in time, the search ends; the records are kept


@dataclasses.dataclass(frozen=True)
class PostgresqlServer:
    """A PostgreSQL server. ``url`` contains no password. ``run`` is the run's id.

    If ``password`` is ``None``, libpq takes it from PGPASSWORD or ~/.pgpass.
    """

    url: str
    password: str | None = dataclasses.field(repr=False)
    run: str

    @property
    def words(self) -> str:
        return self.url

    def study_name(self, terms: str) -> str:
        """The study's name. It contains the run's id, because several runs may use one server."""
        return f"{terms}-{self.run}"

    def missing(self) -> bool:
        """Always false: the user need not know that a study on the server is new. It is filled from the records."""
        return False

    def open(self) -> Database:
        """Connect to the server. Raises ``HostError`` if psycopg is not installed."""
        import optuna
        import sqlalchemy

        try:
            import psycopg
        except ImportError as error:
            raise HostError(
                "storage: psycopg is not installed. Install it with: pip install 'litetuner[postgresql]'"
            ) from error

        def connect() -> Any:
            given: dict[str, Any] = {} if self.password is None else {"password": self.password}
            given |= {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 1000 * STATEMENT_SECONDS}
            connection = psycopg.connect(self.url, application_name="litetuner", **given)
            connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            connection.commit()
            return connection

        settings = {"creator": connect, "pool_pre_ping": True, "poolclass": sqlalchemy.pool.QueuePool}
        return Database(optuna.storages.RDBStorage("postgresql+psycopg://", engine_kwargs=settings))

    def put_aside(self, study: str) -> None:
        """Remove a study of this run that does not agree with its records."""
        import optuna

        database = self.open()
        try:
            with contextlib.suppress(KeyError):
                optuna.delete_study(study_name=study, storage=database.storage)
        finally:
            database.close()

    def check(self) -> None:
        """Raise ``HostError``, which says what to do, if the server cannot be used."""
        with self.errors():
            self.open().close()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """See ``StudyLocation.errors``."""
        import optuna
        import sqlalchemy

        try:
            yield
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
            words = first_line(cause_of(error)).removesuffix(".")
            raise HostError(
                f"storage: {self.words} cannot be used: {words}. The run folder has all that was recorded: repeat the "
                "command when the server answers, or without --storage. A password is looked for in the URL, in PGPASSWORD "
                "and in ~/.pgpass."
            ) from error
