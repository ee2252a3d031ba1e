"""Trials written at once are to Optuna what trials written one by one are; another database is left to Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from litetuner.search.front import Objective
from litetuner.search.runs.databases import study_copy
from litetuner.search.runs.databases.database import StudyFile
from litetuner.search.runs.databases.study_copy import StudyCopy
from litetuner.search.runs.databases.study_rows import insert_trials
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


def stored(folder: Path) -> list[dict[str, Any]]:
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
    return stored(folder)


def test_they_are_the_same(trials: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = fill(tmp_path / "at once", trials)
    monkeypatch.setattr(study_copy, "insert_trials", lambda *_: False)
    assert at_once == fill(tmp_path / "one by one", trials) and len(at_once) == len(trials) > 20
    assert {len(item["params"]) for item in at_once} != {0}


def test_another_schema_is_left_alone(trials: Any, tmp_path: Path) -> None:
    database = StudyFile(tmp_path).open()
    study = optuna.create_study(storage=database.storage, directions=["maximize", "minimize", "minimize"])
    with database.storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE trial_values ADD COLUMN more INTEGER"))
    given = optuna.trial.create_trial(values=[1.0, 2.0, 3.0])
    assert not insert_trials(database.storage, study._study_id, [given])
    assert not insert_trials(
        database.storage, study._study_id, [optuna.trial.create_trial(values=[1.0, 2.0, float("inf")])]
    )
    assert study.trials == []
    database.close()
