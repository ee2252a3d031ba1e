"""Which strategy takes the next turn; on made-up trials, and on the records of a simulated search."""

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
from litetuner.search.policy import POLICY
from litetuner.search.proposals.scheduler import STRATEGIES, UNGUIDED, order
from litetuner.search.proposals.trainings import promotions
from litetuner.search.runs.record import RunRecord, read_run
from litetuner.search.trial import State
from tests.search.fakes import fake_search
from tests.search.made_up import PRUNED, SPACES, told, trial

NUMBERS = POLICY.scheduler
NAMES = tuple(STRATEGIES)
VARIED = [PRUNED | {"prune.sparsity": sparsity} for sparsity in (0.3, 0.4, 0.5, 0.6, 0.7)]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    path = tmp_path_factory.mktemp("strategies") / "run"
    fake_search(path, trials=90)
    return read_run(path)


def test_the_history_agrees_with_the_front_and_its_growth(record: RunRecord) -> None:
    trials = record.folder.trials()
    found = History(trials, record.objectives, record.budgets)
    assert found.front == front(trials, record.objectives)
    volumes = volume_over_time(
        trials, record.objectives, trials[0], allowed_drop(record.budgets, trials[0].measurements)
    )
    grown = {volume.trial for volume in volumes if volume.value}
    feasible = next(trial.number for trial in trials if trial.state is State.COMPLETE)
    gained = {trial.number for trial, gain in zip(found.trials, found.gains, strict=True) if gain}
    assert grown - {feasible} == {number for number in gained if number > feasible}
    assert found.growth is not None
    assert sum(found.gains) == pytest.approx(found.growth.value + 1), (
        "the baseline broke a budget: the way to them counts 1"
    )
    for item in trials:
        answer = found.answer(item.candidate.key)
        assert answer is not None and answer.number == (item.number if item.duplicate_of is None else item.duplicate_of)


def test_every_strategy_takes_turns_and_every_candidate_is_new_but_for_the_samplers(record: RunRecord) -> None:
    origins = Counter(item.origin for item in record.trials)
    assert set(origins) == {"baseline", *STRATEGIES}
    assert {item.origin for item in record.trials if item.duplicate_of is not None} <= {"sampler"}


def test_recipes_come_first_and_then_what_has_gained_most() -> None:
    few = [trial(k, 0.0, 990.0 - k, "recipe") for k in range(1, NUMBERS.first_trials)]
    assert order(told(*few), SPACES)[:2] == ("allocation", "recipe"), "the space of this test has no layer statistics"
    allocated = trial(NUMBERS.first_trials - 1, 0.0, 900.0, "allocation")
    assert order(told(*few[:-1], allocated), SPACES)[0] == "recipe", "they take turns"
    used = [trial(k, 0.05, 900.0, NAMES[k % len(NAMES)]) for k in range(1, 4 * len(STRATEGIES) + 1)]
    paying = [trial(100 + k, 0.0, 800.0 - 100 * k, "neighbor") for k in range(3)]
    assert order(told(*used, *paying), SPACES)[0] == "neighbor"
    idle = [trial(200 + k, 0.05, 900.0, "neighbor") for k in range(NUMBERS.patience)]
    assert order(told(*used, *paying, *idle), SPACES)[0] != "neighbor", "what was left out for long is tried again"


def test_what_a_promotion_should_gain_counts_until_it_proves_wrong() -> None:
    """A drop of 9 of the 10 points allowed should shrink to 6, which would gain more than recipes have."""
    used = [
        trial(k, 0.09, 900.0 - 100 * k, "recipe", **VARIED[k % len(VARIED)]) for k in range(1, NUMBERS.first_trials + 1)
    ]
    assert order(told(*used), SPACES)[0] == "promotion"
    settled = [dataclasses.replace(item, params={}) for item in used]  # nothing that could be trained for longer
    assert order(told(*settled), SPACES)[0] == "recipe"
    longer = [VARIED[k % len(VARIED)] | {"epochs": 2.0} for k in range(1, NUMBERS.first_trials + 1)]
    broken = [trial(10 + k, 0.5, 900.0, "promotion", **choices) for k, choices in enumerate(longer)]
    assert order(told(*used, *broken), SPACES)[0] != "promotion"


def test_where_there_are_too_few_recipes_the_strategies_still_take_turns() -> None:
    used = [trial(k, 0.05, 990.0 - k, "neighbor") for k in range(1, NUMBERS.patience + 1)]
    assert order(told(*used), SPACES)[0] != "neighbor", "a small space may have no recipes at all"


def test_lost_trials_change_no_order() -> None:
    used = [trial(k, 0.05, 900.0 - k, NAMES[k % len(NAMES)]) for k in range(1, 30)]
    lost = dataclasses.replace(trial(99, 0.0, 1.0, "promotion"), state=State.LOST, measurements={})
    assert order(told(*used, lost), SPACES) == order(told(*used), SPACES)


def test_a_sampler_that_has_repeated_itself_comes_last() -> None:
    used = [trial(k, 0.05, 900.0, "recipe") for k in range(1, 6)]
    again = dataclasses.replace(trial(6, 0.05, 900.0, "sampler"), duplicate_of=1, seconds={})
    assert order(told(*used, again), SPACES)[-1] == "sampler"


def test_a_thousand_trials_are_taken_in_quickly() -> None:
    trials = [trial(k, (k * 7 % 11) / 500, 900.0 - (k * 13 % 97), "sampler", **PRUNED) for k in range(1, 1000)]
    started = time.perf_counter()
    known = told(*trials)
    promotions.propose(known, SPACES, 0)
    order(known, SPACES)
    assert time.perf_counter() - started < 5, "seconds, not minutes: a resumed search begins with this"


def test_an_unguided_sampler_is_helped_by_recipes_only(tmp_path: Path) -> None:
    origins = {item.origin for item in fake_search(tmp_path / "run", trials=40, sampler="random").record.trials}
    assert origins <= {"baseline", *UNGUIDED}
