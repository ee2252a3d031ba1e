"""What every sampler must do, run over the registry: a new sampler is tested by existing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from litetuner.search.front import Objective
from litetuner.search.run_folder import RunFolder
from litetuner.search.samplers import SAMPLERS
from litetuner.search.study import Study
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.steps import STEPS


def suggest(choose: Any) -> Candidate:
    io = choose.one_of("io", ("float32", "int8", "uint8"))
    choose.level("depth", (1, 2, 4))
    return Candidate((STEPS["int8"](io=io),))


def study(path: Path, name: str) -> Study:
    path.mkdir()
    return Study(RunFolder(path), (Objective("metric", "maximize"), Objective("size", "minimize")), (), name, seed=3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_proposes_the_same_for_the_same_seed_and_history(tmp_path: Path, name: str) -> None:
    proposals = []
    for copy in ("a", "b"):
        found = study(tmp_path / copy, name)
        proposals.append([found.ask(suggest, told=index).params for index in range(6)])
        found.close()
    assert proposals[0] == proposals[1]
    assert len({str(params) for params in proposals[0]}) > 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_its_choices_are_among_the_options(tmp_path: Path, name: str) -> None:
    found = study(tmp_path / "a", name)
    for index in range(4):
        asked = found.ask(suggest, told=index)
        assert asked.params["io"]["chosen"] in ("float32", "int8", "uint8")
        assert asked.params["depth"]["chosen"] in (1, 2, 4)
        assert asked.origin == "sampler"
    assert len(found.running()) == 4
    found.close()
