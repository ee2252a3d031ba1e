from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.front import Objective
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.importance import FEWEST, Importances, find_importances, kept_importances
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import RunError

OBJECTIVES = (Objective("metric", "maximize"), Objective("size", "minimize"))


def choice(name: str, value: Any) -> dict[str, Any]:
    if name == "deploy":
        text = '{"name": "CategoricalDistribution", "attributes": {"choices": ["float32", "int8"]}}'
    else:
        text = '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 7}}'
    return {"chosen": value, "value": value, "distribution": text}


def trials(count: int) -> list[Trial]:
    """Size follows ``deploy`` and, under it, ``bits``; the metric follows ``epochs``; ``noise`` does nothing."""
    rng = random.Random(0)
    found = []
    for number in range(count):
        values: dict[str, Any] = {"deploy": rng.choice(["float32", "int8"])}
        values |= {"epochs": rng.randrange(8), "noise": rng.randrange(8)}
        size = 1000.0
        if values["deploy"] == "int8":
            values["bits"] = rng.randrange(8)
            size = 100.0 + 20 * values["bits"]
        measured = {"metric": 0.5 + values["epochs"] / 20, "size": size + rng.random()}
        found.append(
            Trial(
                number,
                Candidate(()),
                State.COMPLETE if number % 3 else State.INFEASIBLE,
                "sampler",
                0,
                measurements={name: Measurement(value, "1", {"made": "up"}) for name, value in measured.items()},
                params={name: choice(name, value) for name, value in values.items()},
            )
        )
    return found


def test_what_decides_is_found_for_the_front_and_each_objective() -> None:
    found = {item.goal: item for item in find_importances(trials(300), OBJECTIVES)}
    assert list(found) == ["front", "metric", "size"]
    assert next(iter(found["metric"].shares)) == "epochs"
    assert next(iter(found["size"].shares)) in ("bits", "deploy")
    for item in found.values():
        assert sum(item.shares.values()) == pytest.approx(1) and min(item.shares.values()) >= 0
        assert list(item.shares.values()) == sorted(item.shares.values(), reverse=True)
        assert item.shares["noise"] < 0.2 and (item.trials, item.top) == (300, 30)


def test_few_trials_and_trials_without_choices_say_nothing() -> None:
    assert find_importances(trials(FEWEST - 1), OBJECTIVES) == ()
    bare = [Trial(k, Candidate(()), State.COMPLETE, "recipe", 0) for k in range(40)]
    assert find_importances(bare, OBJECTIVES) == ()
    assert find_importances(trials(FEWEST), OBJECTIVES)


def test_it_is_kept_until_something_new_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, told = RunFolder(tmp_path), trials(60)
    first = kept_importances(folder, told, OBJECTIVES)
    assert first == Importances(find_importances(told, OBJECTIVES))
    monkeypatch.setattr("litetuner.search.runs.importance.find_importances", lambda *_: ())
    assert kept_importances(folder, told, OBJECTIVES) == first
    assert kept_importances(folder, trials(61), OBJECTIVES) == Importances()
    (tmp_path / "cache" / "importance.json").write_text("torn{")
    assert kept_importances(folder, told, OBJECTIVES) == Importances()


@pytest.mark.parametrize(
    "damage",
    [
        {"distribution": "torn{"},
        {"distribution": '{"name": "NoSuchDistribution", "attributes": {}}'},
        {"distribution": '{"name": "IntDistribution", "attributes": {"low": "a"}}'},
        {"distribution": "[]"},
        {"distribution": None},
        {"value": "not among the choices"},
    ],
)
def test_a_record_that_optuna_cannot_read_is_named(tmp_path: Path, damage: dict[str, Any]) -> None:
    told = trials(40)
    name, entry = next(iter(told[7].params.items()))
    told[7] = dataclasses.replace(told[7], params=told[7].params | {name: entry | damage})
    with pytest.raises(RunError, match="the choices in the record of trial 7 cannot be read"):
        find_importances(told, OBJECTIVES)
    kept = kept_importances(RunFolder(tmp_path), told, OBJECTIVES)
    assert kept.found == () and "trial 7" in kept.problem
    assert not (tmp_path / "cache" / "importance.json").exists(), "the record may be corrected"


def test_a_record_without_a_value_is_named_and_one_of_another_kind_is_taken() -> None:
    told = trials(40)
    bare = {name: {"distribution": entry["distribution"]} for name, entry in told[7].params.items()}
    with pytest.raises(RunError, match=r"trial 7 cannot be read \(KeyError"):
        find_importances([*told[:7], dataclasses.replace(told[7], params=bare), *told[8:]], OBJECTIVES)
    other = dataclasses.replace(told[7], params=told[7].params | {"deploy": choice("bits", 3)})
    assert find_importances([*told[:7], other, *told[8:]], OBJECTIVES)
