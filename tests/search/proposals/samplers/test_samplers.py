"""What every sampler must do, run over the registry: a new sampler is tested by existing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.front import Objective
from litetuner.search.proposals.samplers import SAMPLERS
from litetuner.search.runs.databases.database import StudyFile
from litetuner.search.runs.databases.study_copy import StudyCopy
from litetuner.search.runs.optuna_study import Study
from litetuner.search.runs.optuna_trials import Asked
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.steps import STEPS

FORMULA = {"computed by": "a formula"}


def suggest(choose: Any) -> Candidate:
    io = choose.one_of("io", ("float32", "int8", "uint8"))
    choose.level("depth", (1, 2, 4))
    return Candidate((STEPS["int8"](io=io),))


GOALS = (Objective("metric", "maximize"), Objective("size", "minimize"))


def study(name: str, trials: Sequence[Trial] = (), copy: StudyCopy | None = None) -> Study:
    return Study(GOALS, name, 3, trials, copy)


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_proposes_the_same_for_the_same_seed_and_history(name: str) -> None:
    proposals = []
    for found in (study(name), study(name)):
        proposals.append([found.ask(suggest, told=index).params for index in range(6)])
    assert proposals[0] == proposals[1]
    assert len({str(params) for params in proposals[0]}) > 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_its_choices_are_among_the_options(name: str) -> None:
    found = study(name)
    for index in range(4):
        asked = found.ask(suggest, told=index)
        assert asked.params["io"]["chosen"] in ("float32", "int8", "uint8")
        assert asked.params["depth"]["chosen"] in (1, 2, 4)
        assert asked.origin == "sampler"


def lived(name: str, trials: int, resumes: tuple[int, ...] = (), path: Path | None = None) -> list[dict[str, Any]]:
    """Proposals of a study that is asked and told; at ``resumes`` it is made again from the trials and its copy in a file."""
    proposals: list[dict[str, Any]] = []
    told: list[Trial] = []
    copy = None if path is None else StudyCopy(StudyFile(path), GOALS, (), "run")
    found = study(name, told, copy)
    for index in range(trials):
        if index in resumes:
            assert copy is not None and path is not None
            copy.close()
            copy = StudyCopy(StudyFile(path), GOALS, (), "run")
            found = study(name, told, copy)
        asked = found.ask(suggest, told=index)
        proposals.append(asked.params)
        told.append(scored(asked))
        found.tell(told[-1])
    if copy is not None:
        copy.close()
    return proposals


def scored(asked: Asked) -> Trial:
    """What is deeper is better and larger; int8 breaks a budget."""
    depth, io = asked.params["depth"]["chosen"], asked.params["io"]["chosen"]
    broken = io == "int8"
    return Trial(
        asked.number,
        asked.candidate,
        State.INFEASIBLE if broken else State.COMPLETE,
        asked.origin,
        0,
        measurements={"metric": Measurement(depth / 4, "", FORMULA), "size": Measurement(float(depth), "B", FORMULA)},
        constraints={"max-size": 1.0 if broken else -0.1},
        params=asked.params,
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_resumed_study_goes_on_as_an_undisturbed_one(tmp_path: Path, name: str) -> None:
    assert lived(name, 26, resumes=(5, 13, 23), path=tmp_path) == lived(name, 26)


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_of_an_ask_stays_in_the_sampler(name: str) -> None:
    sampler = SAMPLERS[name]()
    before = dict(vars(sampler))
    one, other = sampler.make(7), sampler.make(7)
    assert one is not other
    assert vars(sampler) == before


def test_tpe_avoids_what_breaks_a_budget() -> None:
    late = [params["io"]["chosen"] for params in lived("tpe", 40)[20:]]
    by_chance = [params["io"]["chosen"] for params in lived("random", 40)[20:]]
    assert late.count("int8") < by_chance.count("int8")
    assert late.count("int8") <= 4  # a third of 20 would be 7


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_uses_public_names_of_optuna_only(name: str) -> None:
    """Private ones may change in any release."""
    source = Path(inspect.getfile(SAMPLERS[name])).read_text(encoding="utf-8")
    tree = ast.parse(source)
    private = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")]
    defined = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("_")]
    assert private + defined == []
    assert type(SAMPLERS[name]().make(1)).__module__.startswith("optuna.")
