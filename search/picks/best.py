"""The best file of a run: a rule, step by step. What each step kept is told with the pick."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective, feasible
from litetuner.search.policy import POLICY
from litetuner.search.trial import Trial

# Do the metrics of two files differ by no more than chance (paired interval of 95 %)? ``None``: no per-sample values.
Paired = Callable[[Trial, Trial], bool | None]
_INTERVAL = 1.96  # standard errors between a value and the end of its 95 % interval
ROUNDING = 1e-9  # of two metrics that are exactly 0.1 points apart


@dataclasses.dataclass(frozen=True)
class BestRule:
    """``metric_budgets`` bound the metric or its drop. ``latency_limited``: does a budget bound the latency? ``points``: is the
    metric in [0, 1]?
    """

    metric_budgets: tuple[Budget, ...]
    latency_limited: bool
    points: bool
    metric: Objective
    size: str
    latency: str


@dataclasses.dataclass(frozen=True)
class Best:
    """The best trial, and the trials that each step of the rule kept: within the budgets, ``safe`` on new data, ``small``,
    ``equal`` in the metric, ``quick``. ``unpaired`` of the small ones had no per-sample values. All but ``within`` are empty
    where no budget bounds the metric, ``safe`` also where no file is.
    """

    trial: Trial
    within: tuple[Trial, ...]
    safe: tuple[Trial, ...] = ()
    small: tuple[Trial, ...] = ()
    equal: tuple[Trial, ...] = ()
    quick: tuple[Trial, ...] = ()
    unpaired: int = 0

    @property
    def contenders(self) -> tuple[Trial, ...]:
        """The trials between which latency may decide, so that each is timed itself."""
        return self.equal or (self.trial,)


def find_best(trials: Sequence[Trial], rule: BestRule, paired: Paired) -> Best | None:
    """The best of all trials within all budgets, ``None`` where there is none.

    Where a budget bounds the metric: the files that keep it on new data too (``is_safe``), all where none does; of these the
    files at most 5 % larger than the smallest; of these, the files that equal the best
    metric among them within the paired interval, and are never more than 0.1 points below it; if no budget bounds the
    latency, the files at most 2 % slower than the fastest of these; then the smallest, the better metric, the lower trial
    number. Without such a budget: the best metric, then the smallest.
    """
    within = tuple(feasible(trials))
    if not within:
        return None
    cost, numbers = rule.metric.cost, POLICY.picks
    if not rule.metric_budgets:
        chosen = min(within, key=lambda trial: (cost(trial), _value(trial, rule.size), _value(trial, rule.latency)))
        return Best(chosen, within)
    safe = tuple(trial for trial in within if is_safe(trial, rule.metric_budgets, len(within)))
    small = _nearly_least(safe or within, rule.size, numbers.same_size)
    top = min(small, key=lambda trial: (cost(trial), _value(trial, rule.size)))
    equal, unpaired = [], 0
    for trial in small:
        gap = cost(trial) - cost(top)
        if rule.points and gap > numbers.same_metric + ROUNDING:
            continue
        same = True if gap <= 0 else paired(top, trial)
        unpaired += same is None
        if same or (same is None and rule.points):  # without per-sample values the cap alone decides
            equal.append(trial)
    quick = equal if rule.latency_limited else _nearly_least(equal, rule.latency, numbers.same_latency)
    chosen = min(quick, key=lambda trial: (_value(trial, rule.size), cost(trial), trial.number))
    return Best(chosen, within, safe, tuple(small), tuple(equal), tuple(quick), unpaired)


def is_safe(trial: Trial, budgets: Sequence[Budget], count: int) -> bool:
    """Would a file keep the budgets on the metric also on new data?

    The smallest of ``count`` files within a budget is there by luck more often than one file alone. So the measured value,
    moved towards the limit by ``standard_errors(count)``, must keep it. A value without an interval counts as exact.
    """
    for budget in budgets:
        measured = trial.measurements.get(budget.measurement)
        if measured is None:
            continue
        low, high = measured.interval or (measured.value, measured.value)
        worst = high if budget.sense == "at most" else low
        moved = measured.value + standard_errors(count) * (worst - measured.value) / _INTERVAL
        if budget.violation(moved) > 0:
            return False
    return True


def standard_errors(count: int) -> float:
    """How many standard errors a metric must keep from its limit when ``count`` files are within the budgets."""
    return POLICY.picks.safety + POLICY.picks.safety_growth * math.log(max(1, count))


def _nearly_least(trials: Sequence[Trial], name: str, share: float) -> list[Trial]:
    least = min(_value(trial, name) for trial in trials)
    return [trial for trial in trials if _value(trial, name) <= least * (1 + share)]


def _value(trial: Trial, name: str) -> float:
    found = trial.value(name)
    return math.inf if found is None else found
