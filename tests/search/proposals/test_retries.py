"""Retries on made-up trials: which losses are asked again, and when."""

from __future__ import annotations

import dataclasses

from litetuner.search.policy import POLICY
from litetuner.search.proposals import retries
from litetuner.search.trial import State, Trial
from tests.search.made_up import PRUNED, SPACE, told, trial


def lost(number: int, target: str | None = None, **choices: object) -> Trial:
    return dataclasses.replace(
        trial(number, 0.0, **PRUNED | choices), state=State.LOST, waits_for=target, measurements={}, seconds={}
    )


def test_a_lost_candidate_is_asked_again_by_the_same_choices() -> None:
    gone = lost(1)
    found = retries.propose(told(gone), SPACE, ())
    assert found is not None and found.script is not None and found.origin == gone.origin
    assert found.candidate == gone.candidate == SPACE.suggest(found.script)
    answered = dataclasses.replace(trial(2, 0.01, **PRUNED))
    assert retries.propose(told(gone, answered), SPACE, ()) is None, "it has an answer now"


def test_what_waits_for_a_target_is_asked_again_when_the_target_answers() -> None:
    history = told(lost(1, "pi"), lost(2, "phone", **{"prune.sparsity": 0.7}))
    assert retries.propose(history, SPACE, ("pi", "phone")) is None
    found = retries.propose(history, SPACE, ("pi",))
    assert found is not None and found.candidate == history.trials[2].candidate
    assert [item.waits_for for item in retries.waiting(history.trials)] == ["pi", "phone"]


def test_after_several_accidents_a_candidate_is_left_alone() -> None:
    accidents = [lost(number) for number in range(1, POLICY.retries.most_losses + 1)]
    assert retries.propose(told(*accidents[:-1]), SPACE, ()) is not None
    assert retries.propose(told(*accidents), SPACE, ()) is None
