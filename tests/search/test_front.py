"""The front against a brute-force definition and against moocore's hypervolume."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litetuner.objectives.measurement import Measurement
from litetuner.search.front import Objective, dominates, front, fronts
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate

OBJECTIVES = (
    Objective("metric", "maximize"),
    Objective("compressed_bytes", "minimize"),
    Objective("latency_us:host", "minimize"),
)


def trial(number: int, metric: float, size: float, latency: float, state: State = State.COMPLETE) -> Trial:
    values = {"metric": metric, "compressed_bytes": size, "latency_us:host": latency}
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


def brute_force(trials: list[Trial], objectives: tuple[Objective, ...]) -> list[Trial]:
    """The definition, pair by pair; of equal ones the first."""
    costs = {trial.number: tuple(objective.cost(trial) for objective in objectives) for trial in trials}
    kept = [t for t in trials if not any(dominates(other, costs[t.number]) for other in costs.values())]
    first = {costs[trial.number]: trial for trial in reversed(kept)}
    return [first[cost] for cost in sorted(first)]


def timed(trial: Trial) -> Trial:
    """The same with an interval of its latency."""
    latency = trial.measurements["latency_us:host"]
    interval = (0.99 * latency.value, 1.01 * latency.value)
    measured = {"latency_us:host": dataclasses.replace(latency, interval=interval)}
    return dataclasses.replace(trial, measurements=trial.measurements | measured)


def test_what_is_faster_by_noise_alone_is_not_on_the_front() -> None:
    """Within 2 % of the least of a group latencies are one; 255 us are less than that."""
    rows = [(0.86, 40e3, 270.3), (0.85, 41e3, 265.6), (0.85, 41e3, 266.0), (0.85, 41e3, 255.0), (0.84, 50e3, 251.0)]
    exact = [trial(number, *row) for number, row in enumerate(rows)]
    measured = [timed(each) for each in exact]
    assert [member.number for member in front(measured[:3], OBJECTIVES)] == [0]
    assert [member.number for member in front(measured[:4], OBJECTIVES)] == [0, 3]
    assert [member.number for member in front(measured, OBJECTIVES)] == [0, 3]
    assert [member.number for member in front(exact, OBJECTIVES)] == [0, 3, 4], "a compiler's estimates are exact"


@pytest.mark.parametrize(("count", "levels"), [(1, 3), (40, 3), (400, 6), (400, 10**6)])
def test_the_front_equals_brute_force_also_with_ties_and_gaps(count: int, levels: int) -> None:
    rng = np.random.default_rng(count + levels)
    trials = [trial(index, *(float(value) for value in rng.integers(0, levels, 3))) for index in range(count)]
    for member in trials[::7]:
        del member.measurements["latency_us:host"]  # infinitely slow, for the order
    assert front(trials, OBJECTIVES) == brute_force(trials, OBJECTIVES)
    assert front(trials, OBJECTIVES[:1]) == brute_force(trials, OBJECTIVES[:1])


def test_the_front_of_thousands_is_quick() -> None:
    rng = np.random.default_rng(0)
    trials = [trial(index, *(float(value) for value in rng.random(3))) for index in range(3000)]
    started = time.process_time()
    front(trials, OBJECTIVES)
    assert time.process_time() - started < 0.5  # brute force takes 5 s


def test_the_front_of_each_target() -> None:
    trials = on_two_targets()
    both = fronts(trials, OBJECTIVES, ("host", "pi"))
    assert [sorted(t.number for t in members) for members in both.values()] == [[0], [1]]


def on_two_targets() -> list[Trial]:
    """One is fast here, one there, and one, on neither front, is decent on both."""
    trials = []
    for number, (here, there) in enumerate([(2.0, 20.0), (20.0, 2.0), (6.0, 7.0), (8.0, 8.0)]):
        found = trial(number, 0.9, 10, here)
        for name, value in (("host", here), ("pi", there)):
            found.measurements[f"latency_us:{name}"] = Measurement(value, "us", {"test": True})
            found.measurements[f"latency_ratio:{name}"] = Measurement(20 / value, "", {"test": True})
        trials.append(found)
    return trials


def test_infeasible_and_unmeasured_trials_are_left_out() -> None:
    good, broken = trial(0, 0.9, 10, 10), trial(1, 0.99, 1, 1, State.INFEASIBLE)
    assert front([good, broken], OBJECTIVES) == [good]
