"""Budgets: limits on size, latency, memory and accuracy, and how far a measurement is from its limit."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.choice import find_metric
from litetuner.search.config.units import BYTES, MICROSECONDS, SHARE, format_bytes, format_us, parse
from litetuner.search.policy import POLICY
from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.user_function import is_function

# What a budget on a target can bound: the measurement, and its name in messages.
KINDS = {"latency_us": "latency", "sram_bytes": "SRAM", "flash_bytes": "flash"}
ACCURACY_BUDGETS = ("max-drop", "min-metric")  # keys of the budgets that training may still meet
POINTS = "points"  # unit of a drop that is not relative to the baseline's metric


@dataclasses.dataclass(frozen=True)
class Budget:
    """A limit on one measurement (see ``Trial.measurements``); ``limit`` is in the unit of that measurement."""

    key: str  # as the user wrote it: max-compressed-size, max-latency, ...
    measurement: str
    limit: float
    sense: Literal["at most", "at least"]
    text: str  # the limit as the user wrote it: 60kB
    target: str = ""  # name of the target; empty for the first target or without one

    def violation(self, value: float) -> float:
        """The excess divided by the limit (by 0.01 if the limit is 0); 0 or less if the budget holds."""
        return self.excess(value) / (abs(self.limit) or POLICY.hypervolume.zero_limit_scale)

    def excess(self, value: float) -> float:
        """How far a value is beyond the limit, in the unit of the limit; 0 or less if the budget holds."""
        return value - self.limit if self.sense == "at most" else self.limit - value

    def show(self, value: float) -> str:
        """A value of this budget's measurement as text for users."""
        if self.measurement.partition(":")[0].endswith("_bytes"):
            return format_bytes(value)
        if self.measurement.startswith("latency_us"):
            return format_us(value)
        return f"{value:.2%}" if self.measurement == "drop" else f"{value:.4f}"

    @property
    def name(self) -> str:
        """The budget's name in constraints: its key, followed by ``target`` if that is not empty."""
        return f"{self.key} {self.target}" if self.target else self.key


def violations(budgets: tuple[Budget, ...], measurements: Mapping[str, Measurement]) -> dict[str, float]:
    return {
        budget.name: budget.violation(measurements[budget.measurement].value)
        for budget in budgets
        if budget.measurement in measurements
    }


def distance(constraints: Mapping[str, float]) -> float:
    """How far a file is from all budgets: the sum of the violations, 0 if every budget holds."""
    return sum(value for value in constraints.values() if value > 0)


@dataclasses.dataclass(frozen=True)
class BudgetTexts:
    """The budgets as the user wrote them; ``None`` or an empty tuple means no limit."""

    max_size: str | None = None
    max_compressed_size: str | None = None
    max_latency: tuple[str, ...] = ()
    max_drop: str | None = None
    min_metric: float | None = None
    max_memory: str | None = None
    max_sram: tuple[str, ...] = ()
    max_flash: tuple[str, ...] = ()


def parse_budgets(
    texts: BudgetTexts,
    direction: Literal["maximize", "minimize"],
    targets: Mapping[str, Sequence[str]],
    memory: str = "memory_bytes",
) -> tuple[Budget, ...]:
    """The budgets that ``texts`` describe. Raises ``ConfigError`` for a missing unit or an unknown target.

    ``direction`` is the direction of the metric. ``targets`` lists, by target name, what budgets can bound on each
    target. A budget without a target name is for the first target that reports its measurement. ``memory`` is the
    measurement that ``max_memory`` bounds.
    """
    found = _most("max-size", "file_bytes", BYTES, texts.max_size)
    found += _most("max-compressed-size", "compressed_bytes", BYTES, texts.max_compressed_size)
    found += [_target_budget("max-latency", "latency_us", written, targets) for written in texts.max_latency]
    found += [_target_budget("max-sram", "sram_bytes", written, targets) for written in texts.max_sram]
    found += [_target_budget("max-flash", "flash_bytes", written, targets) for written in texts.max_flash]
    found += _most("max-memory", memory, BYTES, texts.max_memory)
    found += _most("max-drop", "drop", SHARE, texts.max_drop)
    if texts.min_metric is not None:
        # "At least this good" means "at most" for an error, which is minimized.
        sense: Literal["at most", "at least"] = "at least" if direction == "maximize" else "at most"
        found.append(Budget("min-metric", "metric", texts.min_metric, sense, str(texts.min_metric)))
    names = [budget.name for budget in found]
    twice = next((budget.key for budget in found if names.count(budget.name) > 1), None)
    if twice is not None:
        written = getattr(texts, twice.replace("-", "_"))
        raise ConfigError(f"{twice}: give one limit for each target; {', '.join(written)} names one twice.")
    return tuple(found)


def _most(key: str, measurement: str, units: dict[str, int] | dict[str, float], text: str | None) -> list[Budget]:
    return [] if text is None else [Budget(key, measurement, parse(text, units, key), "at most", text)]


def _target_budget(key: str, kind: str, written: str, targets: Mapping[str, Sequence[str]]) -> Budget:
    """A budget on a target: ``2ms`` or ``pi=4ms``. If no target reports flash, ``60kB`` bounds the file's own flash."""
    target, equals, value = written.rpartition("=")
    able, first = [name for name, kinds in targets.items() if kind in kinds], next(iter(targets))
    units: dict[str, int] | dict[str, float] = MICROSECONDS if kind == "latency_us" else BYTES
    if not equals and kind == "flash_bytes" and not able:
        return Budget(key, kind, parse(value, units, key), "at most", value.strip())
    name = target.strip() if equals else next(iter(able), first)
    if name not in targets:
        known = ", ".join(targets)
        raise ConfigError(
            f"{key}: there is no target {name!r}{nearest(name, targets)} (the targets are {known}). "
            f"Name one with --target {name or 'pi'}=ssh://user@host."
        )
    if name not in able:
        what = KINDS[kind]
        others = f"{', '.join(able)} does" if able else "a target such as vela:ethos-u55-256 does"
        raise ConfigError(f"{key}: the target {name} does not report {what}; {others}.")
    limit = parse(value, units, key)
    other = "" if name == first else name
    return Budget(key, f"{kind}:{name}", limit, "at most", value.strip(), other)


def allowed_drop(budgets: Sequence[Budget], baseline: Mapping[str, Measurement] | None = None) -> float:
    """The accuracy drop from which a file adds nothing to the hypervolume: what the budgets allow, else the default.

    ``baseline`` holds the baseline's measurements; without them ``min-metric`` has no effect. If the budgets allow no
    drop at all, the result is ``zero_limit_scale``, which ``Budget.violation`` also uses for a limit of 0.
    """
    drops = [budget.limit for budget in budgets if budget.measurement == "drop"]
    if baseline and "metric" in baseline:
        value = baseline["metric"].value
        relative = "drop" in baseline and baseline["drop"].unit != POINTS
        scale = (abs(value) or 1.0) if relative else 1.0
        drops += [-budget.excess(value) / scale for budget in budgets if budget.measurement == "metric"]
    least = min(drops, default=POLICY.hypervolume.default_allowed_drop)
    return least if least > 0 else POLICY.hypervolume.zero_limit_scale


def check_metric_budgets(metric: str, min_metric: float | None, max_drop: str | None) -> None:
    """Raise ``ConfigError`` for a metric budget that every file or no file meets.

    A user's own metric is not checked, because only workers import it.
    """
    drop = 0.0 if max_drop is None else parse(max_drop, SHARE, "max-drop")
    if (min_metric is None and drop <= 1) or is_function(metric.partition("@")[0]):
        return
    found = find_metric(metric)
    low, high = found.limits
    if min_metric is not None and not low <= min_metric <= high:
        limit = f"at least {low:g}" if min_metric < low else f"at most {high:g}"
        hint = f"; did you mean {min_metric / 100:g}?" if high == 1 < min_metric <= 100 else "."
        raise ConfigError(f"min-metric: {min_metric:g} is impossible: {metric} is {limit}{hint}")
    if drop > 1 and found.bounded:
        raise ConfigError(f"max-drop: {max_drop} is impossible: {metric} is between 0 and 1.")
