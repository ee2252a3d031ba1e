"""The picks of a run: the best file within the budgets, and the extremes of the Pareto front."""

import math
from collections.abc import Sequence

from litetuner.search.front import Objective, feasible, front
from litetuner.search.picks.best import Best
from litetuner.search.trial import Trial

PICKS = ("best", "accurate", "balanced", "smallest", "fastest", "robust")


def picks(
    trials: Sequence[Trial], objectives: Sequence[Objective], best: Best | None, *, size: str, targets: Sequence[str]
) -> dict[str, Trial]:
    """The picks within the budgets by name, or nothing where nothing is feasible.

    ``balanced`` is nearest to the best values of all objectives, in units of their spreads on the front. ``fastest`` needs a
    latency, ``robust`` several targets; others go by the first.
    """
    members = front(trials, objectives)
    if best is None or not members:
        return {}
    metric = objectives[0]
    latency = f"latency_us:{targets[0]}"

    found = {
        "best": best.trial,
        "accurate": min(members, key=lambda trial: (metric.cost(trial), trial.value(size) or math.inf)),
        "balanced": _balanced(members, objectives),
        "smallest": min(members, key=lambda trial: (trial.value(size) or math.inf, metric.cost(trial))),
    }
    timed = [trial for trial in members if trial.value(latency) is not None]
    if timed:
        found["fastest"] = min(timed, key=lambda trial: (trial.value(latency) or math.inf, metric.cost(trial)))
    if len(targets) > 1 and (chosen := robust(trials, objectives, targets)) is not None:
        found["robust"] = chosen
    return found


def robust(trials: Sequence[Trial], objectives: Sequence[Objective], targets: Sequence[str]) -> Trial | None:
    """The feasible trial whose worst target is the fastest, or ``None`` where none was measured on all targets.

    What is second on each target's front may be the best for all. A latency counts in units of the baseline's on the
    same target (the inverse of ``latency_ratio``). Of equals, the better metric.
    """

    def worst(trial: Trial) -> float:
        ratios = [trial.value(f"latency_ratio:{target}") for target in targets]
        return max(1 / ratio if ratio else math.inf for ratio in ratios)

    measured = [trial for trial in feasible(trials) if math.isfinite(worst(trial))]
    return min(measured, key=lambda trial: (worst(trial), objectives[0].cost(trial)), default=None)


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
