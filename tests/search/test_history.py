"""The history: a copy of it can be asked and added to without a trace in the original."""

from __future__ import annotations

import dataclasses

from litetuner.search.lookahead import Supposed
from litetuner.search.proposals import promotions, recipes
from litetuner.search.proposals.scheduler import order
from tests.search.made_up import PRUNED, SPACES, told, trial


def test_what_is_supposed_leaves_recipes_open_in_the_real_history() -> None:
    history = told(trial(1, 0.01, 500.0, "recipe", **PRUNED))
    recipes.propose(history, SPACES, 0)
    supposed = Supposed(history)
    while (found := recipes.propose(supposed, SPACES, 0)) is not None and found.candidate is not None:
        supposed.suppose(found.candidate)
    assert recipes.propose(history, SPACES, 0) is not None


def test_what_is_supposed_leaves_promotions_open_in_the_real_history() -> None:
    history = told(trial(1, 0.02, 500.0, interval=(0.01, 0.03), **PRUNED))
    supposed = Supposed(history)
    found = promotions.propose(supposed, SPACES, 0)
    assert found is not None and found.candidate is not None
    supposed.suppose(found.candidate)
    assert promotions.propose(supposed, SPACES, 0) is None, "the same promotion is not proposed twice"
    assert promotions.propose(history, SPACES, 0) is not None


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
