"""The best file of a run, chosen by a rule with several steps. The pick also says what each step kept."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective, feasible
from litetuner.search.policy import POLICY
from litetuner.search.trial import Trial

# True if the metrics of two files are equal within the paired 95 % interval, ``None`` without per-sample values.
Paired = Callable[[Trial, Trial], bool | None]
_INTERVAL = 1.96  # standard errors between a value and the end of its 95 % interval
ROUNDING = 1e-9  # tolerance, so that metrics exactly 0.1 points apart count as near enough


@dataclasses.dataclass(frozen=True)
class BestRule:
    """The settings of the rule for the best file.

    ``metric_budgets`` are the budgets on the metric or its drop. ``latency_limited``: a budget bounds the latency.
    ``points``: the metric is in [0, 1], so that differences are in points.
    """

    metric_budgets: tuple[Budget, ...]
    latency_limited: bool
    points: bool
    metric: Objective
    size: str
    latency: str


@dataclasses.dataclass(frozen=True)
class Best:
    """The best trial, and the trials that each step of the rule kept (see ``find_best``).

    ``within`` has the trials within all budgets, ``safe`` those that probably keep the metric budgets on new data,
    ``small`` those about as small as the smallest, ``equal`` those with the same metric, and ``quick`` those about as
    fast as the fastest. ``unpaired`` is how many of the small ones had no per-sample values. All but ``within`` are
    empty if no budget bounds the metric; ``safe`` is also empty if no file is safe.
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
        """The trials that latency may decide between; the finals time the file of each of them."""
        return self.equal or (self.trial,)


def find_best(trials: Sequence[Trial], rule: BestRule, paired: Paired) -> Best | None:
    """The best of all trials within all budgets, ``None`` if there is none.

    If a budget bounds the metric, each step chooses from the files that the step before kept:

    1. the files that keep the budget on new data too (``is_safe``), or all files if none does;
    2. the files at most 5 % larger than the smallest;
    3. the files that equal the best metric within the paired interval, and are at most 0.1 points below it;
    4. if no budget bounds the latency, the files at most 2 % slower than the fastest;
    5. the smallest file, then the better metric, then the lower trial number.

    If no budget bounds the metric: the best metric, then the smallest file, then the lowest latency.
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
        if same or (same is None and rule.points):  # without per-sample values only the 0.1 points decide
            equal.append(trial)
    quick = equal if rule.latency_limited else _nearly_least(equal, rule.latency, numbers.same_latency)
    chosen = min(quick, key=lambda trial: (_value(trial, rule.size), cost(trial), trial.number))
    return Best(chosen, within, safe, tuple(small), tuple(equal), tuple(quick), unpaired)


def is_safe(trial: Trial, budgets: Sequence[Budget], count: int) -> bool:
    """True if a file probably keeps the metric budgets on new data too.

    The smallest of ``count`` files within a budget is more often within it by chance than a single file. So the
    measured value must still keep the budget after it is moved towards the limit by ``standard_errors(count)``. A
    value without an interval counts as exact.
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
    """How many standard errors a metric must be away from its limit if ``count`` files are within the budgets."""
    return POLICY.picks.safety + POLICY.picks.safety_growth * math.log(max(1, count))


def _nearly_least(trials: Sequence[Trial], name: str, share: float) -> list[Trial]:
    least = min(_value(trial, name) for trial in trials)
    return [trial for trial in trials if _value(trial, name) <= least * (1 + share)]


def _value(trial: Trial, name: str) -> float:
    found = trial.value(name)
    return math.inf if found is None else found
