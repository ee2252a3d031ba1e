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
    """A measurement to optimize, and its direction: ``maximize`` or ``minimize``."""

    measurement: str
    direction: Literal["maximize", "minimize"]

    def cost(self, trial: Trial) -> float:
        """The value with a sign such that lower is better; infinite if it was not measured."""
        value = trial.value(self.measurement)
        if value is None:
            return math.inf
        return -value if self.direction == "maximize" else value


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """True if ``one`` is at most as large as ``other`` in every value, and smaller in at least one."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """The feasible trials that no other one dominates, sorted by the first objective, best first.

    Of trials with equal values only the first is kept. Latencies within the noise of a measurement count as equal.
    Otherwise a file that is worse in all other objectives could be on the front for 0.1 % less latency.
    """
    members = feasible(trials)
    costs = np.array([[objective.cost(trial) for objective in objectives] for trial in members], dtype=np.float64)
    costs = costs.reshape(len(members), len(objectives))
    for column, objective in enumerate(objectives):
        if objective.measurement.startswith("latency_us") and _timed(members, objective.measurement):
            costs[:, column] = _without_noise(costs[:, column])
    kept: list[int] = []
    left = np.lexsort(costs.T[::-1])  # in this order, no trial is dominated by a later one
    while left.size:
        kept.append(int(left[0]))
        left = left[(costs[left] < costs[left[0]]).any(axis=1)]  # drop the trials that it dominates or equals
    return [members[index] for index in kept]


def _timed(trials: Sequence[Trial], latency: str) -> bool:
    """True if the latency was measured and has noise. A latency from a compiler or a simulator has no interval."""
    intervals = (trial.measurements[latency].interval for trial in trials if latency in trial.measurements)
    return any(interval is not None and interval[0] < interval[1] for interval in intervals)


def _without_noise(latencies: np.ndarray) -> np.ndarray:
    """Each latency replaced by the lowest of its group: all up to 2 % above the lowest one (``same_latency``).

    Groups are formed from the lowest latency on. Two measurements of one file rarely differ by more than that.
    """
    order, found, start = np.argsort(latencies, kind="stable"), np.empty_like(latencies), 0
    while start < len(order):
        least = latencies[order[start]]
        end = np.searchsorted(latencies, least * (1 + POLICY.picks.same_latency), side="right", sorter=order)
        found[order[start:end]] = least
        start = int(end)
    return found


def fronts(trials: Sequence[Trial], objectives: Sequence[Objective], targets: Sequence[str]) -> dict[str, list[Trial]]:
    """The Pareto front of each target, by name: with its latency instead of the first target's latency."""
    first, found = f"latency_us:{targets[0]}", {}
    for target in targets:
        own = {first: f"latency_us:{target}"}
        named = (Objective(own.get(item.measurement, item.measurement), item.direction) for item in objectives)
        found[target] = front(trials, tuple(dict.fromkeys(named)))
    return found


def feasible(trials: Sequence[Trial]) -> list[Trial]:
    """The trials within all budgets, without duplicates."""
    return [trial for trial in trials if trial.state is State.COMPLETE and trial.duplicate_of is None]
