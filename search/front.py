"""The Pareto front. Objectives are never summed."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

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

    In that order nothing is dominated by what comes after it: each point is compared with the front so far.
    """
    first: dict[tuple[float, ...], Trial] = {}
    for trial in feasible(trials):
        first.setdefault(tuple(objective.cost(trial) for objective in objectives), trial)
    costs = np.array(list(first), dtype=np.float64).reshape(len(first), len(objectives))
    members = list(first.values())
    kept: list[int] = []
    points = np.empty_like(costs)
    for index in np.lexsort(costs.T[::-1]):
        if not (points[: len(kept)] <= costs[index]).all(axis=1).any():
            points[len(kept)] = costs[index]
            kept.append(int(index))
    return [members[index] for index in kept]


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
