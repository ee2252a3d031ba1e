"""Promotions on made-up trials: what is trained for longer, and what is not."""

from __future__ import annotations

import dataclasses
import statistics

import pytest

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.proposal import Proposal, Spaces
from litetuner.search.proposals.trainings import promotions
from litetuner.search.proposals.trainings.promotions import outcomes_of_longer
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import ScriptedChoices
from tests.search.made_up import PRUNED, SPACE, SPACES, told, trial


def promote(history: History) -> Proposal | None:
    return promotions.propose(history, SPACES, 0)


def test_what_may_reach_the_front_is_trained_for_longer() -> None:
    short = trial(1, 0.02, 500.0, interval=(0.01, 0.03), **PRUNED)
    found = promote(told(short))
    assert found is not None and found.origin == "promotion"
    assert found.candidate == SPACE.suggest(ScriptedChoices(PRUNED | {"epochs": 2.0}))
    longer = trial(2, 0.015, 500.0, "promotion", interval=(0.01, 0.02), **PRUNED | {"epochs": 2.0})
    found = promote(told(short, longer))
    assert found is not None and found.candidate == SPACE.suggest(ScriptedChoices(PRUNED | {"epochs": 4.0})), (
        "one rung after the other"
    )
    two = dataclasses.replace(SPACE, epochs=(1.0, 2.0))
    assert promotions.propose(told(short, longer), Spaces(two, two), 0) is None


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"drop": 0.5, "interval": (0.45, 0.55)}, "its accuracy would drop too much even so"),
        ({"drop": 0.02, "size": 1100.0}, "it is larger than the baseline"),
    ],
)
def test_what_cannot_reach_the_front_is_not(case: dict[str, float], reason: str) -> None:
    assert promote(told(trial(1, **case, **PRUNED))) is None, reason  # type: ignore[arg-type]


def test_a_trial_that_breaks_a_budget_which_training_cannot_keep_is_not_promoted() -> None:
    short = trial(1, 0.02, 500.0, state=State.INFEASIBLE, **PRUNED)
    assert promote(told(dataclasses.replace(short, constraints={"max-size": 0.1}))) is None
    assert promote(told(dataclasses.replace(short, constraints={"max-drop": 0.1}))) is not None


def test_what_a_longer_training_leaves_of_a_drop_is_learned() -> None:
    """Of 5 points, where 10 are allowed, .7 before this run has shown anything; here trainings leave a quarter of 4."""
    usual = POLICY.promotions.longer.share
    assert statistics.median(outcomes_of_longer(told()).drops(0.05)) == pytest.approx(0.05 * usual)
    pairs: list[Trial] = []
    for index, sparsity in enumerate((0.5, 0.6, 0.7, 0.8)):
        choices = PRUNED | {"prune.sparsity": sparsity}
        pairs.append(trial(2 * index + 1, 0.04, **choices))
        pairs.append(trial(2 * index + 2, 0.01, origin="promotion", **choices | {"epochs": 2.0}))
    known = outcomes_of_longer(told(*pairs))
    assert len(known.errors) == 3 + 4 and statistics.median(known.drops(0.04)) == pytest.approx(0.01)


def test_where_longer_trainings_recover_nothing_less_is_expected_of_the_next() -> None:
    """Of 11 points, where 10 are allowed, 7.7 should be left; after trainings that left all of 50, that is an exception."""
    hopeful = trial(1, 0.11, 500.0, **PRUNED | {"prune.sparsity": 0.9})
    known = told(hopeful)
    found = promote(known)
    assert found is not None and found.candidate.prefix.steps[0].knobs()["epochs"] == 2.0
    expected, number = found.gain_per_second, 2
    for sparsity in (0.3, 0.4, 0.5, 0.6, 0.7):
        choices = PRUNED | {"prune.sparsity": sparsity}
        known.add(trial(number, 0.5, **choices))
        known.add(trial(number + 1, 0.5, origin="promotion", **choices | {"epochs": 2.0}))
        number += 2
    found = promote(known)
    assert found is not None and 0 < found.gain_per_second < 0.5 * expected
