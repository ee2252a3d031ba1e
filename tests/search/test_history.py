"""The history: a copy of it can be asked and added to without a trace in the original."""

from __future__ import annotations

import dataclasses

import pytest

from litetuner.search.config.budgets import Budget
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals import recipes, retries
from litetuner.search.proposals.scheduler import STRATEGIES, order
from litetuner.search.proposals.trainings import promotions
from litetuner.search.trial import State, Trial
from tests.search.made_up import OBJECTIVES, PRUNED, SPACES, judged, told, trial


def test_a_candidate_in_flight_is_not_proposed_and_one_that_was_lost_is() -> None:
    history = told(trial(1, 0.02, 500.0, interval=(0.01, 0.03), **PRUNED))
    found = promotions.propose(history, SPACES, 0)
    assert found is not None and found.candidate is not None
    count, asked = history.count, history.asked
    history.begin(found.candidate)
    assert (history.count, history.asked) == (count, asked + 1), "the next proposal has another seed"
    other = promotions.propose(history, SPACES, 0)
    assert other is None or other.candidate != found.candidate
    history.end(found.candidate)
    lost = dataclasses.replace(trial(2, 0.0), candidate=found.candidate, state=State.LOST)
    history.add(lost)
    again = promotions.propose(history, SPACES, 0)
    assert again is not None and again.candidate == found.candidate and history.asked == asked


def test_recipes_in_flight_are_not_proposed_again() -> None:
    history = told(trial(1, 0.01, 500.0, "recipe", **PRUNED))
    begun = []
    while (found := recipes.propose(history, SPACES, 0)) is not None and found.candidate is not None:
        history.begin(found.candidate)
        begun.append(found.candidate.key)
    assert len(begun) == len(set(begun)) > 3


def test_a_lost_candidate_in_flight_is_not_asked_a_second_time() -> None:
    lost = dataclasses.replace(trial(1, 0.01, 500.0, "recipe", **PRUNED), state=State.LOST)
    history = told(lost)
    assert retries.propose(history, SPACES.affordable, ()) is not None
    history.begin(lost.candidate)
    assert retries.propose(history, SPACES.affordable, ()) is None
    history.end(lost.candidate)
    assert retries.propose(history, SPACES.affordable, ()) is not None


def test_a_copy_takes_trials_in_on_its_own() -> None:
    history = told(trial(1, 0.01, 500.0, "recipe", **PRUNED), trial(2, 0.02, 400.0, "sampler"))
    expected = order(history, SPACES), history.gains[:], history.count, [item.number for item in history.front]
    other = history.copy()
    for number in range(3, 30):
        other.add(dataclasses.replace(trial(number, 0.0, 300.0 - number, "neighbor", **PRUNED)))
    assert other.growth is not None and history.growth is not None and other.growth.value > history.growth.value
    found = order(history, SPACES), history.gains, history.count, [item.number for item in history.front]
    assert found == expected
    assert order(other, SPACES) != expected[0]


def test_a_first_training_is_expected_to_take_as_long_as_a_timed_pass_says() -> None:
    """It counted as a second: a search of ResNet8 of 2 minutes spent 52 s on one that gained nothing."""
    candidate = trial(1, 0.01, 500.0, **PRUNED).candidate
    expected = POLICY.loop.usual_step * 20.0 + POLICY.loop.training_start_seconds
    assert History(seconds_per_epoch=20.0).training_seconds(candidate) == pytest.approx(expected)
    assert History().training_seconds(candidate) == 0.0, "not timed"
    known = History(
        [dataclasses.replace(trial(1, 0.01, 500.0, **PRUNED), seconds={"train": 7.0})], seconds_per_epoch=20.0
    )
    longer = trial(2, 0.01, 500.0, **PRUNED | {"epochs": 4.0}).candidate
    assert known.training_seconds(longer) == 7.0, "what trainings of the run took"
    assert known.training_seconds(candidate) == 0.0, "its checkpoint is there"


SIZE = Budget("max-compressed-size", "compressed_bytes", 100.0, "at most", "100B")


def tight(*trials: Trial) -> History:
    """Nothing is within 100 B yet; the baseline has 1,000."""
    return History([judged(item, SIZE) for item in (trial(0, 0.0, 1000.0, "baseline"), *trials)], OBJECTIVES, (SIZE,))


def test_while_nothing_is_feasible_the_gain_is_what_comes_nearer_to_the_budgets() -> None:
    history = tight(trial(1, 0.0, 800.0), trial(2, 0.0, 900.0), trial(3, 0.0, 550.0), trial(4, 0.0, 100.0))
    ninths = [0.0, 2.0, 0.0, 2.5, 4.5]
    assert history.growth is not None and history.growth.value > 0, "the last one is feasible"
    expected = [part / 9 for part in ninths[:-1]] + [ninths[-1] / 9 + history.growth.value]
    assert history.gains == pytest.approx(expected)
    before = history.growth.value
    history.add(judged(trial(5, 0.0, 50.0), SIZE))
    assert history.gains[-1] == pytest.approx(history.growth.value - before), "then the hypervolume alone counts"


def test_where_the_baseline_is_feasible_the_hypervolume_alone_counts() -> None:
    history = told(trial(1, 0.0, 800.0), trial(2, 0.0, 400.0))
    assert history.growth is not None and sum(history.gains) == pytest.approx(history.growth.value)


def test_while_nothing_is_feasible_what_comes_nearer_goes_before_what_is_cheap() -> None:
    cheap = [name for name in STRATEGIES if name != "neighbor"]
    trials = [
        dataclasses.replace(trial(k, 0.0, 990.0, cheap[k % len(cheap)]), seconds={"score": 1.0}) for k in range(1, 17)
    ]
    trials += [trial(20 + k, 0.0, 900.0 - 100 * k, "neighbor") for k in range(4)]
    assert order(tight(*trials), SPACES)[0] == "neighbor"
