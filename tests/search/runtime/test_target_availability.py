"""Who answers: pauses that grow, looks when their time has come, and when to give up. A clock by hand."""

from __future__ import annotations

import pytest

from litetuner.search.runtime.target_availability import LOOKS, TargetAvailability
from tests.search.flaky import Dead, Flaky, Weather


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    Weather.forecast()
    return Clock()


def test_a_loss_is_looked_at_after_growing_pauses_and_forgotten_by_an_answer(clock: Clock) -> None:
    found = TargetAvailability({"pi": Dead()}, clock, pauses=(5, 15, 30))
    found.lost("pi", "gone")
    pauses = []
    for _ in range(4):
        pauses.append(found.seconds_to_look)
        found.look()
        assert found.away and found.seconds_to_look == pauses[-1], "it is not time yet"
        clock.seconds += pauses[-1]
        found.look()
    assert pauses == [5, 15, 30, 30]
    assert found.hopeless == "pi" and found.away == {"pi": "no route to host"}
    found.answered("pi")
    assert not found.away and found.hopeless is None and found.seconds_to_look == 0
    found.lost("pi", "again")
    assert found.seconds_to_look == 5


def test_a_device_that_answers_looks_and_fails_at_work_is_given_up_too(clock: Clock) -> None:
    found = TargetAvailability({"pi": Flaky()}, clock)
    for _ in range(LOOKS):
        found.lost("pi", "no timing")
        assert found.away
        clock.seconds += found.seconds_to_look
        if found.hopeless is None:
            found.look()
            assert not found.away
    assert found.hopeless == "pi"


def test_many_trials_that_waited_for_one_device_are_one_event(clock: Clock) -> None:
    found = TargetAvailability({"pi": Dead()}, clock, pauses=(5, 15))
    for _ in range(2 * LOOKS):
        found.lost("pi", "no answer")
    assert found.hopeless is None and found.seconds_to_look == 5
    clock.seconds += 5
    found.look()
    assert found.seconds_to_look == 15, "the look counts"
