"""Budgets: what a shipped file may cost at most, and how far a measurement is from it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.profiles.profile import Profile
from litetuner.search.config.units import BYTES, MICROSECONDS, SHARE, format_bytes, format_us, parse
from litetuner.search.policy import POLICY
from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.user_function import is_function

KINDS = {"latency_us": "latency", "sram_bytes": "SRAM", "flash_bytes": "flash"}  # what a budget of a target bounds
ACCURACY_BUDGETS = ("max-drop", "min-metric")  # keys of those that a training may yet keep
POINTS = "points"  # unit of a drop that is no share of the baseline's metric


@dataclasses.dataclass(frozen=True)
class Budget:
    """One limit. ``measurement`` names what it bounds (``Trial.measurements``); ``limit`` is in that measurement's unit."""

    key: str  # as the user wrote it: max-compressed-size, max-latency, ...
    measurement: str
    limit: float
    sense: Literal["at most", "at least"]
    text: str  # the user's words: 60kB
    target: str = ""  # the target that it must name, as another than the first one

    def violation(self, value: float) -> float:
        """``(value - limit) / limit``, at or below 0 where the budget holds. A limit of 0 is scaled by one percent."""
        return self.excess(value) / (abs(self.limit) or POLICY.hypervolume.zero_limit_scale)

    def excess(self, value: float) -> float:
        """How far a value is beyond the limit, in its unit; below 0 where the budget holds."""
        return value - self.limit if self.sense == "at most" else self.limit - value

    def show(self, value: float) -> str:
        """A value of this budget's measurement, for people."""
        if self.measurement.partition(":")[0].endswith("_bytes"):
            return format_bytes(value)
        if self.measurement.startswith("latency_us"):
            return format_us(value)
        return f"{value:.2%}" if self.measurement == "drop" else f"{value:.4f}"

    @property
    def name(self) -> str:
        """The budget's name in constraints: its key, with the target where there is one."""
        return f"{self.key} {self.target}" if self.target else self.key


def violations(budgets: tuple[Budget, ...], measurements: Mapping[str, Measurement]) -> dict[str, float]:
    return {
        budget.name: budget.violation(measurements[budget.measurement].value)
        for budget in budgets
        if budget.measurement in measurements
    }


def distance(constraints: Mapping[str, float]) -> float:
    """How far a file is from all budgets: the sum of the violations, 0 where every budget holds."""
    return sum(value for value in constraints.values() if value > 0)


@dataclasses.dataclass(frozen=True)
class BudgetTexts:
    """The budgets in the user's words; ``None`` where there is no limit."""

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
    """The budgets that the user's words ask for. Raises ``ConfigError`` for a missing unit or an unknown target.

    ``direction`` is the metric's. ``targets`` are what can be bounded on each, by name; a latency without a name is the first
    one's. ``memory`` is the measurement that ``max_memory`` bounds.
    """
    found = _most("max-size", "file_bytes", BYTES, texts.max_size)
    found += _most("max-compressed-size", "compressed_bytes", BYTES, texts.max_compressed_size)
    found += [_target_budget("max-latency", "latency_us", written, targets) for written in texts.max_latency]
    found += [_target_budget("max-sram", "sram_bytes", written, targets) for written in texts.max_sram]
    found += [_target_budget("max-flash", "flash_bytes", written, targets) for written in texts.max_flash]
    found += _most("max-memory", memory, BYTES, texts.max_memory)
    found += _most("max-drop", "drop", SHARE, texts.max_drop)
    if texts.min_metric is not None:
        # "At least this good": at most, for an error that is minimized.
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
    """A budget on a target: ``2ms`` or ``pi=4ms``; flash without a target that tells it is that of the file itself."""
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
    """The accuracy drop at which a file is worth nothing in the hypervolume: what budgets allow, else the default.

    ``baseline`` are the baseline's measurements, which ``min-metric`` is compared with; it has no effect without them. Where
    no drop at all is allowed, the unit is the one that ``Budget.violation`` takes for a limit of 0.
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
    """Raise ``ConfigError`` for a budget that no file can miss or meet; a user's own metric is imported in workers only."""
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


def advice(profile: type[Profile], targets: Sequence[str], budgets: Sequence[Budget]) -> tuple[str, ...]:
    """What a user of a profile should know, one sentence each: where latency is measured, and what no budget bounds."""
    given = {budget.key for budget in budgets}
    return (
        f"Profile {profile.name}: latency is measured on {', '.join(targets)}, not on such a device; "
        "it ranks candidates, and says nothing about the device.",
        *(
            f"Profile {profile.name}: no budget bounds its {what}; give --{key}, such as --{key} 256kB."
            for key, what in profile.budgets.items()
            if key not in given
        ),
    )
