"""The copy of the study agrees with the records, in SQLite and in PostgreSQL."""

from __future__ import annotations

import dataclasses
import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.runs.databases.database import StudyFile, StudyLocation
from litetuner.search.runs.databases.postgresql import PostgresqlServer
from litetuner.search.runs.databases.study_copy import SamplersOwn, StudyCopy
from litetuner.search.runs.optuna_study import Study
from litetuner.search.runs.optuna_trials import Asked, told_constraints
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import RunError
from litetuner.spaces.steps import STEPS

GOALS = (Objective("metric", "maximize"), Objective("size", "minimize"))
Open = Callable[..., StudyCopy]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> StudyLocation:
    if request.param == "sqlite":
        return StudyFile(tmp_path)
    server = request.getfixturevalue("postgresql")
    return PostgresqlServer(server.url(), server.password, secrets.token_hex(8))


@pytest.fixture
def open_copy(location: StudyLocation) -> Iterator[Open]:
    opened: list[StudyCopy] = []

    def open_one(budgets: tuple[Budget, ...] = (), run: str = "run") -> StudyCopy:
        opened.append(StudyCopy(location, GOALS, budgets, run))
        return opened[-1]

    yield open_one
    for copy in opened:
        copy.close()


def suggest(choose: Any) -> Candidate:
    return Candidate((STEPS["int8"](io=choose.one_of("io", ("float32", "int8", "uint8"))),))


def ended(asked: Asked, state: State) -> Trial:
    measurements = {
        name: Measurement(float(asked.number + 1), "", {"computed by": "a formula"}) for name in ("metric", "size")
    }
    return Trial(
        asked.number,
        asked.candidate,
        state,
        asked.origin,
        0,
        measurements=measurements if state.scored else {},
        constraints={"max-size": 0.5 if state is State.INFEASIBLE else -0.1} if state is not State.LOST else {},
        params=asked.params,
    )


def lived(copy: StudyCopy, states: tuple[State, ...] = tuple(State)) -> tuple[Study, list[Trial]]:
    """A trial in each state, asked two at a time and told in reverse order."""
    study, told = Study(GOALS, "random", 1, (), copy), []
    for index in range(0, len(states), 2):
        asked = [study.ask(suggest, told=index + at) for at, _ in enumerate(states[index : index + 2])]
        for one, state in reversed(list(zip(asked, states[index : index + 2], strict=True))):
            study.settle()
            told.append(ended(one, state))
            study.tell(told[-1])
    return study, sorted(told, key=lambda trial: trial.number)


def stored(location: StudyLocation, name: str) -> list[Any]:
    database = location.open()
    try:
        return optuna.load_study(study_name=name, storage=database.storage).trials
    finally:
        database.close()


def test_it_tells_what_the_records_tell_in_every_state(location: StudyLocation, open_copy: Open) -> None:
    copy = open_copy()
    _, told = lived(copy)
    copy.close()
    again = open_copy()
    assert again.difference(told) == ""
    assert {number: finished for number, (_, finished) in again.asked().items()} == {t.number: True for t in told}
    for theirs, ours in zip(stored(location, copy.name), told, strict=True):
        assert theirs.number == ours.number and theirs.state.is_finished()
        values = [ours.measurements[goal.measurement].value for goal in GOALS] if ours.state.scored else None
        assert theirs.values == values
        assert theirs.system_attrs["constraints"] == list(told_constraints(ours).values())


def test_a_changed_record_and_another_run_are_noticed(location: StudyLocation, open_copy: Open) -> None:
    copy = open_copy()
    _, told = lived(copy)
    copy.close()
    number = next(trial.number for trial in told if trial.state.scored)
    other = Measurement(9.0, "", {"computed by": "a formula"})
    changed = [dataclasses.replace(t, measurements={"metric": other, "size": other}) for t in told]
    assert open_copy().difference(changed) == f"differs from the record of trial {number}"
    assert open_copy(run="another").difference(told) == "belongs to another run"


def test_what_runs_when_a_search_dies_is_known_and_can_be_told(open_copy: Open) -> None:
    copy = open_copy()
    study, told = lived(copy)
    asked = [study.ask(suggest, told=100), study.ask(suggest, told=101)]
    copy.settle()
    again = open_copy()  # while the first one is still open, as after a kill
    assert again.asked()[asked[0].number] == (asked[0], False)
    assert again.difference(told) == ""
    lost = [ended(one, State.LOST) for one in asked]
    more = ended(Asked(len(told) + 2, Candidate(()), "sampler", {}), State.COMPLETE)
    again.fill([*told, *lost, more])
    assert again.difference([*told, *lost, more]) == ""
    assert all(finished for _, finished in again.asked().values()) and len(again.asked()) == len(told) + 3


def test_what_was_half_told_when_a_search_died_is_told_without_a_warning(
    open_copy: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = open_copy()
    study, told = lived(copy, (State.COMPLETE,))
    told.append(ended(study.ask(suggest, told=1), State.INFEASIBLE))
    copy.settle()

    def die(*_: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="killed"):
        patch.setattr(copy._storage, "set_trial_user_attr", die)
        copy._tell(told[-1])
    again = open_copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.fill(told)
    assert again.difference(told) == "" and all(finished for _, finished in again.asked().values())


def test_a_new_one_is_filled_from_the_records(location: StudyLocation, open_copy: Open) -> None:
    copy = open_copy()
    _, told = lived(copy)
    copy.close()
    before = stored(location, copy.name)
    location.put_aside(copy.name)
    again = open_copy()
    assert again.asked() == {}
    again.fill(told)
    again.close()
    for one, other in zip(before, stored(location, copy.name), strict=True):
        for name in (
            "number",
            "state",
            "values",
            "params",
            "distributions",
            "constraints",
            "user_attrs",
            "system_attrs",
        ):
            assert getattr(one, name) == getattr(other, name), name


def test_other_budgets_have_a_study_of_their_own(open_copy: Open) -> None:
    one = open_copy()
    lived(one)
    one.close()
    other = open_copy((Budget("max-size", "file_bytes", 100.0, "at most", "100B"),))
    assert other.name != one.name and other.asked() == {}


def test_a_second_writer_is_an_error(location: StudyLocation, open_copy: Open) -> None:
    copy, other = open_copy(), open_copy()
    study, _ = lived(copy, (State.COMPLETE,))
    other.begin(Asked(1, Candidate(()), "sampler", {}), SamplersOwn())
    other.close()
    study.ask(suggest, told=1)
    with pytest.raises(RunError, match="somebody else writes into the study"):
        study.settle()
    with pytest.raises(RunError, match="somebody else"):
        copy.close()


def test_an_error_of_the_writing_thread_comes_out_at_the_next_trial(
    open_copy: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = open_copy()
    study, told = lived(copy, (State.COMPLETE,))

    def refuse(*_: Any) -> None:
        raise OSError("no more")

    copy._look(wait=True)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(copy._storage, "set_trial_user_attr", refuse)
        asked = study.ask(suggest, told=len(told))
        study.tell(ended(asked, State.COMPLETE))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            study.settle()
            study.ask(suggest, told=len(told))
