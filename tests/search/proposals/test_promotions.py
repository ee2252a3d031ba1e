"""Promotions on made-up trials: what is trained for longer, and what is not."""

from __future__ import annotations

import dataclasses

import pytest

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals import promotions
from litetuner.search.proposals.promotions import recovered_share
from litetuner.search.proposals.proposal import Proposal, Spaces
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


def test_the_share_that_a_longer_training_recovers_is_learned() -> None:
    assert recovered_share(told()) == POLICY.promotions.usual_recovery
    pairs: list[Trial] = []
    for index, sparsity in enumerate((0.5, 0.6, 0.7, 0.8)):
        choices = PRUNED | {"prune.sparsity": sparsity}
        pairs.append(trial(2 * index + 1, 0.04, **choices))
        pairs.append(trial(2 * index + 2, 0.01, origin="promotion", **choices | {"epochs": 2.0}))
    assert recovered_share(told(*pairs)) == pytest.approx(0.75)


def test_where_longer_trainings_recover_nothing_no_more_are_proposed() -> None:
    """With a prior of .3 a drop of 11 points, of 10 allowed, may yet be recovered; not after five promotions without effect."""
    hopeful = trial(1, 0.11, 500.0, **PRUNED | {"prune.sparsity": 0.9})
    known = told(hopeful)
    found = promote(known)
    assert found is not None and found.candidate.prefix.steps[0].knobs()["epochs"] == 2.0
    number = 2
    for sparsity in (0.3, 0.4, 0.5, 0.6, 0.7):
        choices = PRUNED | {"prune.sparsity": sparsity}
        known.add(trial(number, 0.5, **choices))
        known.add(trial(number + 1, 0.5, origin="promotion", **choices | {"epochs": 2.0}))
        number += 2
    assert recovered_share(known) == 0.0
    assert promote(known) is None
