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

    In that order nothing is dominated by what comes after it: each point is compared with the front so far.
    """
    first: dict[tuple[float, ...], Trial] = {}
    for trial in _feasible(trials):
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


def _feasible(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state is State.COMPLETE and trial.duplicate_of is None]


def robust(trials: Sequence[Trial], objectives: Sequence[Objective], targets: Sequence[str]) -> Trial | None:
    """The feasible trial whose worst target is the fastest, or ``None`` where none was measured on all targets.

    What is second on each target's front may be the best for all. A latency counts in units of the baseline's on the
    same target (the inverse of ``latency_ratio``). Of equals, the better metric.
    """

    def worst(trial: Trial) -> float:
        ratios = [trial.value(f"latency_ratio:{target}") for target in targets]
        return max(1 / ratio if ratio else math.inf for ratio in ratios)

    measured = [trial for trial in _feasible(trials) if math.isfinite(worst(trial))]
    return min(measured, key=lambda trial: (worst(trial), objectives[0].cost(trial)), default=None)


def picks(
    trials: Sequence[Trial], objectives: Sequence[Objective], *, metric_bounded: bool, size: str, targets: Sequence[str]
) -> dict[str, Trial]:
    """The picks within the budgets by name, or nothing where nothing is feasible.

    ``best`` is the best metric, or, when a budget bounds the metric, the smallest by the size objective, but for a file that
    is slightly larger and faster (``PickPolicy``). ``balanced`` is nearest to the best values of all objectives, in
    units of their spreads there. ``fastest`` needs a latency, ``robust`` several targets; others go by the first.
    """
    members = front(trials, objectives)
    if not members:
        return {}
    metric = objectives[0]
    latency = f"latency_us:{targets[0]}"

    accurate = min(members, key=lambda trial: (metric.cost(trial), trial.value(size) or math.inf))
    found = {
        "best": _best(members, metric, size, latency) if metric_bounded else accurate,
        "accurate": accurate,
        "balanced": _balanced(members, objectives),
        "smallest": min(members, key=lambda trial: (trial.value(size) or math.inf, metric.cost(trial))),
    }
    timed = [trial for trial in members if trial.value(latency) is not None]
    if timed:
        found["fastest"] = min(timed, key=lambda trial: (trial.value(latency) or math.inf, metric.cost(trial)))
    if len(targets) > 1 and (chosen := robust(trials, objectives, targets)) is not None:
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
