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
    """The picks by name, all within the budgets; empty if no trial is feasible.

    ``balanced`` is the trial nearest to the best values of all objectives, each scaled by its range on the Pareto
    front. ``fastest`` needs a latency, and ``robust`` needs several targets; the other picks use the first target.
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
    """The feasible trial that is fastest on its slowest target, or ``None`` if none was measured on all targets.

    All feasible trials are compared, because the second best on each target may be the best for all targets together. A
    latency is relative to the baseline's on the same target (the inverse of ``latency_ratio``). Of trials with equal
    latencies, the one with the better metric is chosen.
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
