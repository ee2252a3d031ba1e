"""The front, and the picks from it. Objectives are never summed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from litetuner.search.trial import State, Trial

SAME_SIZE = 0.05  # nobody ships a slower file for less
SAME_LATENCY = 0.02
PICKS = ("best", "accurate", "balanced", "smallest", "fastest")


@dataclasses.dataclass(frozen=True)
class Objective:
    """A measurement that is optimised, and where to: ``maximize`` or ``minimize``."""

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
    """The feasible non-dominated trials by value, of equal ones the first, in order of the first objective (best first)."""
    feasible = [trial for trial in trials if trial.state is State.COMPLETE and trial.duplicate_of is None]
    costs = {trial.number: tuple(objective.cost(trial) for objective in objectives) for trial in feasible}
    kept: list[Trial] = []
    seen: set[tuple[float, ...]] = set()
    for trial in feasible:
        own = costs[trial.number]
        if own not in seen and not any(dominates(other, own) for other in costs.values()):
            kept.append(trial)
            seen.add(own)
    return sorted(kept, key=lambda trial: costs[trial.number])


def picks(
    trials: Sequence[Trial], objectives: Sequence[Objective], *, metric_bounded: bool, size: str, latency: str
) -> dict[str, Trial]:
    """The picks within the budgets by name, or nothing where nothing is feasible.

    ``best`` is the best metric, or, when a budget bounds the metric, the smallest by the size objective, but for a file that
    is at most 5 % larger and more than 2 % faster (two measurements of one file may differ by that). ``balanced`` is
    the front's nearest point, in units of each objective's spread on the front, to the best values of all objectives.
    ``fastest`` is missing where latency was not measured.
    """
    members = front(trials, objectives)
    if not members:
        return {}
    metric = objectives[0]

    def smallest(trial: Trial) -> tuple[float, float]:
        return (trial.value(size) or math.inf, metric.cost(trial))

    def accurate(trial: Trial) -> tuple[float, float]:
        return (metric.cost(trial), trial.value(size) or math.inf)

    found = {
        "best": _best(members, metric, size, latency) if metric_bounded else min(members, key=accurate),
        "accurate": min(members, key=accurate),
        "balanced": _balanced(members, objectives),
        "smallest": min(members, key=smallest),
    }
    timed = [trial for trial in members if trial.value(latency) is not None]
    if timed:
        found["fastest"] = min(timed, key=lambda trial: (trial.value(latency) or math.inf, metric.cost(trial)))
    return found


def _best(members: Sequence[Trial], metric: Objective, size: str, latency: str) -> Trial:
    def value(trial: Trial, name: str) -> float:
        found = trial.value(name)
        return math.inf if found is None else found

    least = min(value(trial, size) for trial in members)
    small = [trial for trial in members if value(trial, size) <= least * (1 + SAME_SIZE)]
    quickest = min(value(trial, latency) for trial in small)
    quick = [trial for trial in small if value(trial, latency) <= quickest * (1 + SAME_LATENCY)]
    return min(quick, key=lambda trial: (value(trial, size), metric.cost(trial)))


def _balanced(members: Sequence[Trial], objectives: Sequence[Objective]) -> Trial:
    costs = [[objective.cost(trial) for objective in objectives] for trial in members]
    lows = [min(column) for column in zip(*costs, strict=True)]
    spreads = [max(column) - min(column) for column in zip(*costs, strict=True)]

    def distance(row: Sequence[float]) -> float:
        shares = [
            (value - low) / spread if spread and math.isfinite(spread) else 0.0
            for value, low, spread in zip(row, lows, spreads, strict=True)
        ]
        return math.hypot(*shares)

    return min(zip(members, costs, strict=True), key=lambda pair: distance(pair[1]))[0]
