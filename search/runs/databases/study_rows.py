"""Many trials written at once into a study in SQLite. Optuna's storage writes them one by one, a query for each choice."""

import datetime
import json
import math
from collections.abc import Sequence
from typing import Any

TABLES = ("trials", "trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes")


def insert_trials(storage: Any, study_id: int, trials: Sequence[Any]) -> bool:
    """Write Optuna's trials, numbered from 0, into a study without any: all, or none where this is no such database.

    The rows are those of Optuna's schema 3.0.0.a to 5.0; of another one nothing is written.
    """
    import sqlalchemy

    storage = getattr(storage, "_backend", storage)
    if storage.engine.dialect.name != "sqlite" or not all(_plain(trial) for trial in trials):
        return False
    known = sqlalchemy.MetaData()
    known.reflect(storage.engine, only=lambda name, _: name in TABLES)
    with storage.engine.begin() as connection:
        first = connection.execute(sqlalchemy.text("SELECT COALESCE(MAX(trial_id), 0) + 1 FROM trials")).scalar_one()
        rows = _rows(study_id, first, trials)
        if any(name not in known.tables or _strange(known.tables[name], some) for name, some in rows.items()):
            return False
        for name, some in rows.items():
            if some:
                connection.execute(known.tables[name].insert(), some)
    return True


def _plain(trial: Any) -> bool:
    return trial.state.is_finished() and all(math.isfinite(value) for value in trial.values or ())


def _strange(table: Any, rows: Sequence[dict[str, Any]]) -> bool:
    """Has the table other columns than we write, but for its own number?"""
    own = {column.name for column in table.columns if not column.primary_key or table.name == "trials"}
    return bool(rows) and own != rows[0].keys()


def _rows(study_id: int, first: int, trials: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
    from optuna.distributions import distribution_to_json

    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for number, trial in enumerate(trials):
        of = {"trial_id": first + number}
        about = {"number": number, "study_id": study_id, "state": trial.state.name}
        found["trials"].append(of | about | {"datetime_start": now, "datetime_complete": now})
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            chosen = {"param_name": name, "param_value": distribution.to_internal_repr(value)}
            found["trial_params"].append(of | chosen | {"distribution_json": distribution_to_json(distribution)})
        for objective, value in enumerate(trial.values or ()):
            found["trial_values"].append(of | {"objective": objective, "value": value, "value_type": "FINITE"})
        for table, attributes in (
            ("trial_user_attributes", trial.user_attrs),
            ("trial_system_attributes", trial.system_attrs),
        ):
            found[table] += [of | {"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
    return found
