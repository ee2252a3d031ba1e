"""Neighbors and deployments on made-up trials."""

from __future__ import annotations

import dataclasses

import pytest

from litetuner.search.history import History
from litetuner.search.proposals import deployments, neighbors
from litetuner.search.proposals.proposal import Strategy
from tests.search.made_up import PRUNED, SPACE, SPACES, told, trial


def random_deployment(history: History, spaces: object, seed: int) -> object:
    """What is proposed once all planned deployments have answers."""
    while (found := deployments.planned(history, SPACE)) is not None:
        number = len(history.trials)
        history.add(dataclasses.replace(trial(number, 0.5, 990.0, "variant"), candidate=found.candidate))
    return deployments.propose(history, SPACES, seed)


@pytest.mark.parametrize("strategy", [neighbors.propose, random_deployment])
def test_they_are_new_and_near_the_front_and_follow_from_the_seed(strategy: Strategy) -> None:
    member = trial(1, 0.001, 400.0, **PRUNED)
    history = told(member)
    for seed in range(20):
        found = strategy(history, SPACES, seed)
        assert found is not None and found.candidate is not None and found.script is not None
        assert not history.knows(found.candidate.key)
        assert found.space.suggest(found.script) == found.candidate, "asked twice, the script answers the same"
        again = strategy(history, SPACES, seed)
        assert again is not None and again.candidate == found.candidate
        assert (found.candidate.prefix == member.candidate.prefix) == (found.origin == "variant")


def test_planned_deployments_come_first() -> None:
    history = told(trial(1, 0.001, 400.0, **PRUNED))
    found = [deployments.propose(history, SPACES, seed) for seed in range(3)]
    assert len({item.candidate.key for item in found if item and item.candidate}) == 1, "they do not depend on the seed"


@pytest.mark.parametrize(("microseconds", "arithmetic"), [(99.0, "float32"), (50.0, "int8")])
def test_planned_deployments_compute_with_what_is_not_slow(microseconds: float, arithmetic: str) -> None:
    """The float model takes 100 us."""
    history = told(trial(1, 0.001, 400.0, **PRUNED), trial(2, 0.0, 10 * microseconds, deploy="int8"))
    found = []
    while (planned := deployments.planned(history, SPACE)) is not None and planned.candidate is not None:
        found += [step.knobs()["arithmetic"] for step in planned.candidate.steps if step.name == "reconstruct"]
        made = trial(len(history.trials), 0.5, 990.0, "variant")
        history.add(dataclasses.replace(made, candidate=planned.candidate))
    assert len(found) >= 2 and set(found) == {arithmetic}


@pytest.mark.parametrize("strategy", [neighbors.propose, deployments.propose])
def test_without_a_front_there_are_none(strategy: Strategy) -> None:
    assert strategy(told(), SPACES, 0) is None


def test_without_a_checkpoint_there_is_no_other_deployment_of_it() -> None:
    assert deployments.propose(told(trial(1, 0.0, 400.0, deploy="int8")), SPACES, 0) is None


def test_a_neighbor_that_would_train_for_too_long_so_early_is_left_out() -> None:
    """All trials took 20 s, and a training step takes 10 s: more than a twenty-fifth."""
    member = dataclasses.replace(trial(1, 0.001, 400.0, **PRUNED), seconds={"train": 10.0})
    early = told(member)
    trained = [neighbors.propose(early, SPACES, seed) for seed in range(20)]
    assert all(item is None or early.training_seconds(item.candidate) <= 0.8 for item in trained if item is not None)  # type: ignore[arg-type]
    late = told(member, dataclasses.replace(trial(2, 0.5, 990.0), seconds={"score": 1000.0}))
    assert all(neighbors.propose(late, SPACES, seed) is not None for seed in range(20))
