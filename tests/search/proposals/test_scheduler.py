"""Which arm takes the next turn, and what promotions and neighbors propose; on the records of a simulated search."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path

import pytest

from litetuner.search.config.budgets import allowed_drop
from litetuner.search.front import front
from litetuner.search.history import History
from litetuner.search.hypervolume import volume_over_time
from litetuner.search.proposals.neighbors import neighbor
from litetuner.search.proposals.promotions import USUAL_SHARE, brought_back, promotion
from litetuner.search.proposals.scheduler import FIRST, PATIENCE, PLAIN, STRATEGIES, WINDOW, order
from litetuner.search.runs.record import RunRecord, read_run
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import ScriptedChoices
from tests.search.fakes import fake_search
from tests.search.made_up import PRUNED, SPACE, told, trial

VARIED = [PRUNED | {"prune.sparsity": sparsity} for sparsity in (0.3, 0.4, 0.5, 0.6, 0.7)]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    path = tmp_path_factory.mktemp("arms") / "run"
    fake_search(path, trials=90)
    return read_run(path)


def test_what_was_told_agrees_with_the_front_and_its_growth(record: RunRecord) -> None:
    trials = record.folder.trials()
    found = History(trials, record.objectives, record.budgets)
    assert found.front == front(trials, record.objectives)
    volumes = volume_over_time(trials, record.objectives, trials[0], allowed_drop(record.budgets))
    grown = {volume.trial for volume in volumes if volume.value}
    assert grown == {trial.number for trial, gain in zip(found.trials, found.gains, strict=True) if gain}
    assert found.growth is not None and sum(found.gains) == pytest.approx(found.growth.value)
    for item in trials:
        answer = found.answer(item.candidate.key)
        assert answer is not None and answer.number == (item.number if item.duplicate_of is None else item.duplicate_of)


def test_every_arm_takes_turns_and_every_candidate_is_new_but_for_the_samplers(record: RunRecord) -> None:
    origins = Counter(item.origin for item in record.trials)
    assert set(origins) == {"baseline", *STRATEGIES}
    assert {item.origin for item in record.trials if item.duplicate_of is not None} <= {"sampler"}


def test_recipes_come_first_and_then_what_has_paid() -> None:
    few = [trial(k, 0.0, 990.0 - k, "recipe") for k in range(1, FIRST)]
    assert order(told(*few), SPACE, guided=True)[0] == "recipe"
    assert order(told(*few), SPACE, guided=False) == PLAIN
    used = [trial(k, 0.05, 900.0, STRATEGIES[k % len(STRATEGIES)]) for k in range(1, 4 * len(STRATEGIES) + 1)]
    paying = [trial(100 + k, 0.0, 800.0 - 100 * k, "neighbor") for k in range(3)]
    assert order(told(*used, *paying), SPACE, guided=True)[0] == "neighbor"
    idle = [trial(200 + k, 0.05, 900.0, "neighbor") for k in range(PATIENCE)]
    assert order(told(*used, *paying, *idle), SPACE, guided=True)[0] != "neighbor", (
        "what was left out for long is tried again"
    )


def test_a_promise_counts_as_much_as_what_was_seen_until_it_is_broken() -> None:
    """A loss of 7 of the 10 points allowed: that may be won back, which is more than recipes have given."""
    used = [trial(k, 0.07, 600.0 - 100 * k, "recipe", interval=(-0.02, 0.2), **VARIED[k]) for k in range(1, FIRST + 1)]
    assert order(told(*used), SPACE, guided=True)[0] == "promotion"
    settled = [dataclasses.replace(item, params={}) for item in used]  # nothing that could be trained for longer
    assert order(told(*settled), SPACE, guided=True)[0] == "recipe"
    broken = [trial(10 + k, 0.5, origin="promotion") for k in range(WINDOW)]
    assert order(told(*used, *broken), SPACE, guided=True)[0] != "promotion"


def test_where_there_are_too_few_recipes_the_arms_still_take_turns() -> None:
    used = [trial(k, 0.05, 990.0 - k, "neighbor") for k in range(1, PATIENCE + 1)]
    assert order(told(*used), SPACE, guided=True)[0] != "neighbor", "a small space may have no recipes at all"


def test_lost_trials_change_no_turn() -> None:
    used = [trial(k, 0.05, 900.0 - k, STRATEGIES[k % len(STRATEGIES)]) for k in range(1, 30)]
    lost = dataclasses.replace(trial(99, 0.0, 1.0, "promotion"), state=State.LOST, measurements={})
    assert order(told(*used, lost), SPACE, guided=True) == order(told(*used), SPACE, guided=True)


def test_a_repeated_sampler_waits() -> None:
    used = [trial(k, 0.05, 900.0, "recipe") for k in range(1, 6)]
    again = dataclasses.replace(trial(6, 0.05, 900.0, "sampler"), duplicate_of=1, seconds={})
    assert order(told(*used, again), SPACE, guided=True)[-1] == "sampler"


def test_what_may_yet_reach_the_front_is_trained_for_longer() -> None:
    short = trial(1, 0.02, 500.0, interval=(0.01, 0.03), **PRUNED)
    found = promotion(SPACE, told(short))
    assert found is not None and found.origin == "promotion"
    assert found.candidate == SPACE.suggest(ScriptedChoices(PRUNED | {"epochs": 2.0}))
    longer = trial(2, 0.015, 500.0, "promotion", interval=(0.01, 0.02), **PRUNED | {"epochs": 2.0})
    found = promotion(SPACE, told(short, longer))
    assert found is not None and found.candidate == SPACE.suggest(ScriptedChoices(PRUNED | {"epochs": 4.0})), (
        "one rung after the other"
    )
    assert promotion(dataclasses.replace(SPACE, epochs=(1.0, 2.0)), told(short, longer)) is None


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"drop": 0.5, "interval": (0.45, 0.55)}, "it would lose too much even so"),
        ({"drop": 0.02, "size": 1100.0}, "it is larger than the baseline"),
    ],
)
def test_what_cannot_reach_the_front_is_not(case: dict[str, float], reason: str) -> None:
    assert promotion(SPACE, told(trial(1, **case, **PRUNED))) is None, reason  # type: ignore[arg-type]


def test_what_breaks_a_budget_that_training_cannot_mend_is_not_promoted() -> None:
    short = trial(1, 0.02, 500.0, state=State.INFEASIBLE, **PRUNED)
    assert promotion(SPACE, told(dataclasses.replace(short, constraints={"max-size": 0.1}))) is None
    assert promotion(SPACE, told(dataclasses.replace(short, constraints={"max-drop": 0.1}))) is not None


def test_what_a_longer_training_brings_back_is_learnt() -> None:
    assert brought_back(told()) == USUAL_SHARE
    pairs: list[Trial] = []
    for index, sparsity in enumerate((0.5, 0.6, 0.7, 0.8)):
        choices = PRUNED | {"prune.sparsity": sparsity}
        pairs.append(trial(2 * index + 1, 0.04, **choices))
        pairs.append(trial(2 * index + 2, 0.01, origin="promotion", **choices | {"epochs": 2.0}))
    assert brought_back(told(*pairs)) == pytest.approx(0.75)


def test_where_longer_trainings_bring_nothing_back_no_more_are_asked_for() -> None:
    """A belief of .3 lets a loss of 11 points, of 10 that are allowed, hope; five promotions that brought nothing do not."""
    hopeful = trial(1, 0.11, 500.0, **PRUNED | {"prune.sparsity": 0.9})
    known = told(hopeful)
    found = promotion(SPACE, known)
    assert found is not None and found.candidate.prefix.steps[0].knobs()["epochs"] == 2.0
    number = 2
    for sparsity in (0.3, 0.4, 0.5, 0.6, 0.7):
        choices = PRUNED | {"prune.sparsity": sparsity}
        known.add(trial(number, 0.5, **choices))
        known.add(trial(number + 1, 0.5, origin="promotion", **choices | {"epochs": 2.0}))
        number += 2
    assert brought_back(known) == 0.0
    assert promotion(SPACE, known) is None


@pytest.mark.parametrize("origin", ["neighbor", "variant"])
def test_neighbors_are_new_and_near_the_front_and_follow_from_the_seed(origin: str) -> None:
    member = trial(1, 0.001, 400.0, **PRUNED)
    known = told(member)
    for seed in range(20):
        found = neighbor(SPACE, known, seed, origin=origin)
        assert found is not None and not known.knows(found.candidate.key)
        assert SPACE.suggest(found.script) == found.candidate, "asked twice, the script answers the same"
        again = neighbor(SPACE, known, seed, origin=origin)
        assert again is not None and again.candidate == found.candidate
        assert (found.candidate.prefix == member.candidate.prefix) == (origin == "variant")


def test_without_a_front_there_are_no_neighbors() -> None:
    assert neighbor(SPACE, told(), 0, origin="neighbor") is None


def test_a_thousand_trials_are_taken_in_quickly() -> None:
    trials = [trial(k, (k * 7 % 11) / 500, 900.0 - (k * 13 % 97), "sampler", **PRUNED) for k in range(1, 1000)]
    started = time.perf_counter()
    known = told(*trials)
    promotion(SPACE, known)
    order(known, SPACE, guided=True)
    assert time.perf_counter() - started < 5, "seconds, not minutes: a resumed search begins with this"


def test_the_front_of_a_sampler_that_is_watched_alone_has_no_arms(tmp_path: Path) -> None:
    origins = {item.origin for item in fake_search(tmp_path / "run", trials=40, sampler="random").record.trials}
    assert origins <= {"baseline", *PLAIN}
