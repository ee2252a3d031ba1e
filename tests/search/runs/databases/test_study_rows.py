"""Trials written at once are to Optuna what trials written one by one are; another database is left to Optuna."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from litetuner.search.front import Objective
from litetuner.search.runs.databases import study_copy
from litetuner.search.runs.databases.database import StudyFile
from litetuner.search.runs.databases.study_copy import StudyCopy
from litetuner.search.runs.databases.study_rows import insert_trials, read_trials, stored
from litetuner.search.runs.folder import RunFolder
from tests.search.fakes import fake_search

GOALS = (
    Objective("metric", "maximize"),
    Objective("compressed_bytes", "minimize"),
    Objective("latency_us:fake", "minimize"),
)
COMPARED = ("number", "state", "params", "distributions", "user_attrs", "system_attrs", "constraints", "values")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("rows") / "run"
    fake_search(path, trials=25)
    return RunFolder(path).trials()


def loaded(folder: Path) -> list[dict[str, Any]]:
    url = f"sqlite:///{folder / 'study.db'}"
    (name,) = optuna.get_all_study_names(url)
    found = optuna.load_study(study_name=name, storage=url).trials
    return [{key: getattr(trial, key) for key in COMPARED} for trial in found]


def fill(folder: Path, trials: Any) -> list[dict[str, Any]]:
    folder.mkdir()
    copy = StudyCopy(StudyFile(folder), GOALS, (), "run")
    copy.fill(trials)
    assert copy.difference(trials) == "" and set(copy.asked()) == {trial.number for trial in trials}
    copy.close()
    return loaded(folder)


def test_they_are_the_same(trials: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = fill(tmp_path / "at once", trials)
    monkeypatch.setattr(study_copy, "insert_trials", lambda *_: False)
    assert at_once == fill(tmp_path / "one by one", trials) and len(at_once) == len(trials) > 20
    assert {len(item["params"]) for item in at_once} != {0}


def test_another_schema_is_left_to_optuna(trials: Any, tmp_path: Path) -> None:
    fill(tmp_path / "other", trials)
    copy = StudyCopy(StudyFile(tmp_path / "other"), GOALS, (), "run")
    own = copy.samplers_own()
    with copy._storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE trial_values ADD COLUMN more INTEGER"))
    copy._read = None
    assert read_trials(copy._storage, copy._study_id) is None
    assert copy.difference(trials) == "" and copy.samplers_own() == own and len(copy.asked()) == len(trials)
    copy.close()
    database = StudyFile(tmp_path / "other").open()
    study = optuna.create_study(storage=database.storage, directions=["maximize", "minimize", "minimize"])
    given = stored(optuna.trial.create_trial(values=[1.0, 2.0, 3.0]))
    assert not insert_trials(database.storage, study._study_id, [given]) and study.trials == []
    database.close()


def test_infinite_values_are_left_to_optuna_and_read(tmp_path: Path) -> None:
    database = StudyFile(tmp_path).open()
    study = optuna.create_study(storage=database.storage, directions=["maximize", "minimize", "minimize"])
    given = optuna.trial.create_trial(values=[1.0, -float("inf"), float("inf")])
    assert not insert_trials(database.storage, study._study_id, [stored(given)])
    study.add_trial(given)
    (found,) = read_trials(database.storage, study._study_id) or ()
    assert list(found.values.values()) == given.values and found == stored(study.trials[0])
    database.close()


@pytest.mark.parametrize(
    "edit",
    [
        "trial_params SET param_value = param_value + 1",
        "trial_params SET param_value = param_value + 0.5",
        "trial_params SET param_value = NULL",
        "trial_params SET param_name = param_name || 'x'",
        """trial_params SET distribution_json = replace(distribution_json, '"choices": [', '"choices": ["more", ')""",
        "trial_params SET distribution_json = 'none'",
        "trial_values SET value = value + 0.01",
        "trial_values SET value_type = 'INF_POS'",
        "trial_values SET objective = objective + 1",
        "trials SET state = 'FAIL'",
        "trials SET state = 'DONE'",
        "trials SET datetime_complete = 'yesterday'",
        """trial_user_attributes SET value_json = replace(value_json, 'step', 'stop') WHERE key = 'proposal'""",
        "trial_user_attributes SET value_json = '{' WHERE key = 'outcome'",
        "trial_system_attributes SET value_json = '7.5' WHERE key LIKE 'constraints:%'",
        "trial_system_attributes SET value_json = '[' WHERE key = 'constraints'",
        "trial_system_attributes SET key = key || 'x' WHERE key LIKE 'constraints:%'",
    ],
)
def test_what_somebody_edited_is_found(trials: Any, tmp_path: Path, edit: str) -> None:
    fill(tmp_path / "edited", trials)
    with sqlite3.connect(tmp_path / "edited" / "study.db") as database:
        assert database.execute(f"UPDATE OR IGNORE {edit}").rowcount > 0
    database.close()
    try:
        copy = StudyCopy(StudyFile(tmp_path / "edited"), GOALS, (), "run")
        found = copy.difference(trials)
        copy.close()
    except Exception as error:  # as in ``recover``
        found = str(error)
    assert found
