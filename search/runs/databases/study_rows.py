"""The trials of a study as rows of Optuna's tables, read and written all at once.

This is faster than Optuna's storage, which makes an object of every row, and writes trials one by one with a query for
each choice.
"""

import dataclasses
import datetime
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Columns of Optuna's schema 3.0.0.a to 5.0, without the tables' own row ids.
COLUMNS = {
    "trials": ("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"),
    "trial_params": ("trial_id", "param_name", "param_value", "distribution_json"),
    "trial_values": ("trial_id", "objective", "value", "value_type"),
    "trial_user_attributes": ("trial_id", "key", "value_json"),
    "trial_system_attributes": ("trial_id", "key", "value_json"),
}
INFINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf}


@dataclasses.dataclass(frozen=True)
class StoredTrial:
    """A trial as the tables store it: each choice as a number and its distribution's JSON, attributes as JSON."""

    number: int
    state: Any
    params: dict[str, tuple[float, str]]
    values: dict[int, float]
    user: dict[str, str]
    system: dict[str, str]

    @property
    def finished(self) -> bool:
        return bool(self.state.is_finished())

    @property
    def told(self) -> dict[str, Any]:
        """Everything but the choices, by the argument names of Optuna's ``create_trial``."""
        user, system = ({name: json.loads(text) for name, text in side.items()} for side in (self.user, self.system))
        values = list(self.values.values()) or None
        return {"state": self.state, "values": values, "user_attrs": user, "system_attrs": system}


def stored(trial: Any) -> StoredTrial:
    """Convert an Optuna trial to the form that the tables store."""
    from optuna.distributions import distribution_to_json

    params = {
        name: (kind.to_internal_repr(trial.params[name]), distribution_to_json(kind))
        for name, kind in trial.distributions.items()
    }
    values = dict(enumerate(trial.values or ()))
    return StoredTrial(
        trial.number, trial.state, params, values, as_json(trial.user_attrs), as_json(trial.system_attrs)
    )


def as_json(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in attributes.items()}


def read_trials(storage: Any, study_id: int) -> list[StoredTrial] | None:
    """The trials of a study in the order of writing; ``None`` if the tables have other columns than ``COLUMNS``.

    May raise any exception if rows are damaged.
    """
    import sqlalchemy
    from optuna.trial import TrialState

    if (tables := _known_tables(storage)) is None:
        return None
    trials = tables["trials"]
    found: dict[int, StoredTrial] = {}

    def rows(name: str) -> Iterable[Any]:
        table = tables[name]
        chosen = sqlalchemy.select(*(table.c[column] for column in COLUMNS[name])).where(trials.c.study_id == study_id)
        if table is not trials:
            chosen = chosen.join(trials, trials.c.trial_id == table.c.trial_id)
        return connection.execute(chosen.order_by(*table.primary_key))

    with storage.engine.connect() as connection:
        for row in rows("trials"):  # includes the times: a time that cannot be read is an error
            found[row.trial_id] = StoredTrial(row.number, TrialState[row.state], {}, {}, {}, {})
        for trial, name, value, distribution in rows("trial_params"):
            found[trial].params[name] = (value, distribution)
        for trial, objective, value, kind in rows("trial_values"):
            found[trial].values[objective] = value if kind == "FINITE" else INFINITE[kind]
        for trial, key, text in rows("trial_user_attributes"):
            found[trial].user[key] = text
        for trial, key, text in rows("trial_system_attributes"):
            found[trial].system[key] = text
    return list(found.values())


def insert_trials(storage: Any, study_id: int, trials: Sequence[StoredTrial]) -> bool:
    """Write all trials, numbered from 0, into an empty study in SQLite.

    Returns false and writes none if it is another kind of database, or if a trial is unfinished or has an infinite
    value.
    """
    import sqlalchemy

    tables = _known_tables(storage)
    if storage.engine.dialect.name != "sqlite" or tables is None or not all(map(_plain, trials)):
        return False
    with storage.engine.begin() as connection:
        first = connection.execute(sqlalchemy.text("SELECT COALESCE(MAX(trial_id), 0) + 1 FROM trials")).scalar_one()
        for name, rows in _rows(study_id, first, trials).items():
            if rows:
                connection.execute(tables[name].insert(), [dict(zip(COLUMNS[name], row, strict=True)) for row in rows])
    return True


def _known_tables(storage: Any) -> Mapping[str, Any] | None:
    """The tables of the database; ``None`` if their columns, except for row ids, are not those in ``COLUMNS``."""
    import sqlalchemy

    if storage.engine.dialect.name not in ("sqlite", "postgresql"):
        return None
    found = sqlalchemy.MetaData()
    found.reflect(storage.engine, only=lambda name, _: name in COLUMNS)
    for name, columns in COLUMNS.items():
        table = found.tables.get(name)
        if table is None or {c.name for c in table.columns if not c.primary_key or c.name in columns} != set(columns):
            return None
    return found.tables


def _plain(trial: StoredTrial) -> bool:
    return trial.finished and all(math.isfinite(value) for value in trial.values.values())


def _rows(study_id: int, first: int, trials: Sequence[StoredTrial]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of trials by table, with values in the order of ``COLUMNS``."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in COLUMNS}
    for number, trial in enumerate(trials):
        own = first + number
        found["trials"].append((own, number, study_id, trial.state.name, now, now))
        found["trial_params"] += [(own, name, *choice) for name, choice in trial.params.items()]
        found["trial_values"] += [(own, objective, value, "FINITE") for objective, value in trial.values.items()]
        found["trial_user_attributes"] += [(own, *item) for item in trial.user.items()]
        found["trial_system_attributes"] += [(own, *item) for item in trial.system.items()]
    return found
