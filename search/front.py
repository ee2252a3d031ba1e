"""The Pareto front. Objectives are never summed."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from litetuner.search.policy import POLICY
from litetuner.search.trial import State, Trial


@dataclasses.dataclass(frozen=True)
class Objective:
    """A measurement that is optimized, and its direction: ``maximize`` or ``minimize``."""

    measurement: str
    direction: Literal["maximize", "minimize"]

    def cost(self, trial: Trial) -> float:
        """The value turned so that less is better; infinite where it was not measured."""
        value = trial.value(self.measurement)
        if value is None:
            return math.inf
        return -value if self.direction == "maximize" else value


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Is ``one`` nowhere worse and somewhere better (less) than ``other``?"""
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """The feasible non-dominated trials by value, of equal ones the first, in order of the first objective (best first).

    Latencies that may be measurements of one file count as equal: else one that is worse in all that counts would be on the
    front for a thousandth of its latency.

    In that order nothing is dominated by what comes after it.
    """
    members = feasible(trials)
    costs = np.array([[objective.cost(trial) for objective in objectives] for trial in members], dtype=np.float64)
    costs = costs.reshape(len(members), len(objectives))
    for column, objective in enumerate(objectives):
        if objective.measurement.startswith("latency_us") and _timed(members, objective.measurement):
            costs[:, column] = _without_noise(costs[:, column])
    kept: list[int] = []
    left = np.lexsort(costs.T[::-1])
    while left.size:
        kept.append(int(left[0]))
        left = left[(costs[left] < costs[left[0]]).any(axis=1)]  # what it does not dominate
    return [members[index] for index in kept]


def _timed(trials: Sequence[Trial], latency: str) -> bool:
    """Does it have noise? What a compiler or a simulator computes has no interval."""
    intervals = (trial.measurements[latency].interval for trial in trials if latency in trial.measurements)
    return any(interval is not None and interval[0] < interval[1] for interval in intervals)


def _without_noise(latencies: np.ndarray) -> np.ndarray:
    """Each as the least of its group: from the least on, those within what two measurements of one file differ by."""
    order, found, start = np.argsort(latencies, kind="stable"), np.empty_like(latencies), 0
    while start < len(order):
        least = latencies[order[start]]
        end = np.searchsorted(latencies, least * (1 + POLICY.picks.same_latency), side="right", sorter=order)
        found[order[start:end]] = least
        start = int(end)
    return found


def fronts(trials: Sequence[Trial], objectives: Sequence[Objective], targets: Sequence[str]) -> dict[str, list[Trial]]:
    """The front of each target by its name: that target's latency replaces the first one's."""
    first, found = f"latency_us:{targets[0]}", {}
    for target in targets:
        own = {first: f"latency_us:{target}"}
        named = (Objective(own.get(item.measurement, item.measurement), item.direction) for item in objectives)
        found[target] = front(trials, tuple(dict.fromkeys(named)))
    return found


def feasible(trials: Sequence[Trial]) -> list[Trial]:
    """The trials within all budgets, each file once."""
    return [trial for trial in trials if trial.state is State.COMPLETE and trial.duplicate_of is None]
