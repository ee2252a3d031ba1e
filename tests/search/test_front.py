"""The front against a brute-force definition and against moocore's hypervolume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litetuner.objectives.measurement import Measurement
from litetuner.search.front import Objective, dominates, front, picks
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate

OBJECTIVES = (
    Objective("metric", "maximize"),
    Objective("deflated_bytes", "minimize"),
    Objective("latency_us:host", "minimize"),
)


def trial(number: int, metric: float, size: float, latency: float, state: State = State.COMPLETE) -> Trial:
    values = {"metric": metric, "deflated_bytes": size, "latency_us:host": latency}
    measured = {name: Measurement(value, "", {"test": True}) for name, value in values.items()}
    return Trial(number, Candidate(()), state, "sampler", 0, measured)


points = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


@given(points)
def test_the_front_is_what_nothing_dominates(rows: list[tuple[int, int, int]]) -> None:
    trials = [trial(index, *row) for index, row in enumerate(rows)]
    found = {member.number for member in front(trials, OBJECTIVES)}
    costs = [(-metric, size, latency) for metric, size, latency in rows]
    expected = {
        index
        for index, own in enumerate(costs)
        if not any(dominates(other, own) for other in costs) and own not in costs[:index]
    }
    assert found == expected


@given(points)
def test_the_front_has_the_hypervolume_of_all(rows: list[tuple[int, int, int]]) -> None:
    moocore = pytest.importorskip("moocore")
    trials = [trial(index, *row) for index, row in enumerate(rows)]
    whole = np.array([[-metric, size, latency] for metric, size, latency in rows], dtype=float)
    part = np.array([[o.cost(member) for o in OBJECTIVES] for member in front(trials, OBJECTIVES)])
    reference = np.array([1.0, 5.0, 5.0])
    assert moocore.hypervolume(part, ref=reference) == pytest.approx(
        moocore.hypervolume(whole, ref=reference), abs=1e-12
    )


def test_infeasible_and_unmeasured_trials_are_left_out() -> None:
    good, broken = trial(0, 0.9, 10, 10), trial(1, 0.99, 1, 1, State.INFEASIBLE)
    assert front([good, broken], OBJECTIVES) == [good]


def test_picks() -> None:
    a, b, c = trial(0, 0.95, 30, 30), trial(1, 0.90, 10, 40), trial(2, 0.93, 20, 20)
    names = {"size": "deflated_bytes", "targets": ("host",)}
    bounded = picks([a, b, c], OBJECTIVES, metric_bounded=True, **names)
    assert {name: found.number for name, found in bounded.items()} == {
        "best": 1,
        "accurate": 0,
        "balanced": 2,
        "smallest": 1,
        "fastest": 2,
    }
    close, slow = trial(3, 0.91, 10.4, 30), trial(4, 0.90, 10, 40)
    assert picks([close, slow], OBJECTIVES, metric_bounded=True, **names)["best"] == close, (
        "4 % larger and a quarter faster"
    )
    assert picks([close, slow], OBJECTIVES, metric_bounded=True, **names)["smallest"] == slow
    same = trial(5, 0.95, 10.4, 39.5)
    assert picks([same, slow], OBJECTIVES, metric_bounded=True, **names)["best"] == slow, "1 % faster is no difference"
    assert picks([a, b, c], OBJECTIVES, metric_bounded=False, **names)["best"] == a
    assert picks([], OBJECTIVES, metric_bounded=True, **names) == {}
