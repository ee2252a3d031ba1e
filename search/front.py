"""The Pareto front, and the picks from it. Objectives are never summed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from litetuner.search.policy import POLICY
from litetuner.search.trial import State, Trial

PICKS = ("best", "accurate", "balanced", "smallest", "fastest", "robust")


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

    In the order of the first objective, and of the others
    where that is equal, nothing is dominated by what comes after it: each point is compared with the front so far.
    """
    feasible = [trial for trial in trials if trial.state is State.COMPLETE and trial.duplicate_of is None]
    first: dict[tuple[float, ...], Trial] = {}
    for trial in feasible:
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
    first = f"latency_us:{targets[0]}"
    found = {}
    for target in targets:
        own = tuple(
            dataclasses.replace(item, measurement=f"latency_us:{target}") if item.measurement == first else item
            for item in objectives
        )
        found[target] = front(trials, tuple(dict.fromkeys(own)))
    return found


def robust(trials: Sequence[Trial], objectives: Sequence[Objective], targets: Sequence[str]) -> Trial | None:
    """The feasible trial whose worst target is the fastest, or ``None`` where none was measured on all targets.

    It need not be on any target's front: what is second on each of them may be the best for all. A latency counts in units of
    the baseline's on the same target (the inverse of ``latency_ratio``), so that targets of different speeds are compared; a
    trial is as good as on the target where that is largest. Of equals, the better metric.
    """

    def worst(trial: Trial) -> float:
        ratios = [trial.value(f"latency_ratio:{target}") for target in targets]
        return max(1 / ratio if ratio else math.inf for ratio in ratios)

    feasible = [trial for trial in trials if trial.state is State.COMPLETE and trial.duplicate_of is None]
    measured = [trial for trial in feasible if math.isfinite(worst(trial))]
    return min(measured, key=lambda trial: (worst(trial), objectives[0].cost(trial)), default=None)


def picks(
    trials: Sequence[Trial], objectives: Sequence[Objective], *, metric_bounded: bool, size: str, targets: Sequence[str]
) -> dict[str, Trial]:
    """The picks within the budgets by name, or nothing where nothing is feasible.

    ``best`` is the best metric, or, when a budget bounds the metric, the smallest by the size objective, but for a file that
    is at most 5 % larger and more than 2 % faster (two measurements of one file may differ by that). ``balanced`` is
    the front's nearest point, in units of each objective's spread on the front, to the best values of all objectives.
    ``fastest`` is missing where latency was not measured. With several targets there is ``robust`` (see
    there); the other picks go by the first target.
    """
    members = front(trials, objectives)
    if not members:
        return {}
    metric = objectives[0]
    latency = f"latency_us:{targets[0]}"

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
    if len(targets) > 1:
        chosen = robust(trials, objectives, targets)
        if chosen is not None:
            found["robust"] = chosen
    return found


def _best(members: Sequence[Trial], metric: Objective, size: str, latency: str) -> Trial:
    def value(trial: Trial, name: str) -> float:
        found = trial.value(name)
        return math.inf if found is None else found

    least = min(value(trial, size) for trial in members)
    small = [trial for trial in members if value(trial, size) <= least * (1 + POLICY.picks.same_size)]
    quickest = min(value(trial, latency) for trial in small)
    quick = [trial for trial in small if value(trial, latency) <= quickest * (1 + POLICY.picks.same_latency)]
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
