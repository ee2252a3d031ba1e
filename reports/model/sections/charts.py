"""Charts of the Pareto front, one for each pair of objectives: points by group, the front, budgets, ranges."""

import dataclasses
import itertools
import math
from collections.abc import Container, Sequence
from typing import Literal

from litetuner.reports.model.columns import make_column
from litetuner.reports.model.rows import finite_value, metric_name
from litetuner.reports.text.formatting import budget_words, clean
from litetuner.search.config.budgets import Budget
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State, Trial

Group = Literal["front", "feasible", "infeasible", "stopped", "baseline"]


@dataclasses.dataclass(frozen=True)
class Axis:
    measurement: str
    title: str
    minimize: bool
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Point:
    trial: int
    x: float
    y: float
    color: float | None


@dataclasses.dataclass(frozen=True)
class Line:
    axis: Literal["x", "y"]
    value: float
    text: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """One chart of two objectives.

    ``steps`` are the corners of the Pareto front of its two objectives; ``outside`` counts points out of range.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    color: Axis | None
    groups: dict[Group, tuple[Point, ...]]
    steps: tuple[tuple[float, float], ...]
    lines: tuple[Line, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    outside: int


def find_charts(record: RunRecord, front: frozenset[int]) -> tuple[Chart, ...]:
    """One chart for each pair of objectives.

    The metric, if part of the pair, is the y axis; another objective is the color.
    """
    axes = [_axis(record, objective.measurement) for objective in record.objectives]
    found = []
    for first, second in itertools.combinations(axes, 2):
        y, x = (first, second) if first.measurement == "metric" else (second, first)
        color = next((axis for axis in (*axes[1:], axes[0]) if axis not in (first, second)), None)
        name = f"{_word(record, y)}-{_word(record, x)}"
        chart = _chart(record, name, f"{_word(record, y)} against {_word(record, x)}", x, y, color, front)
        if chart is not None:
            found.append(chart)
    return tuple(found)


def target_chart(record: RunRecord, at: int, front: frozenset[int]) -> Chart | None:
    """The metric against the latency on target number ``at``, with the target's Pareto front; the size is the color."""
    target = record.config.targets[at]
    x, y, color = (_axis(record, name) for name in (f"latency_us:{target}", "metric", record.config.size_measurement))
    return _chart(record, f"target-{at}", f"{metric_name(record)} on {clean(target, 24)}", x, y, color, front)


def _axis(record: RunRecord, measurement: str) -> Axis:
    column = make_column(record, record.config.targets, measurement)
    return Axis(measurement, column.axis, column.minimize)


def _word(record: RunRecord, axis: Axis) -> str:
    """The name of an objective in a title, such as accuracy, size or latency.

    Other targets than the first are named.
    """
    base, _, target = axis.measurement.partition(":")
    sizes = [o.measurement for o in record.objectives if o.measurement in ("compressed_bytes", "file_bytes")]
    if base == "metric":
        return metric_name(record)
    if base in ("compressed_bytes", "file_bytes"):
        return "size" if len(sizes) < 2 else base.replace("_bytes", " size")
    word = "latency" if base == "latency_us" else clean(base.replace("_", " "), 30)
    return word if not target or target == record.config.targets[0] else f"{word} on {clean(target, 24)}"


def plotted(trial: Trial, measurement: str) -> float | None:
    """The value for a chart: the measured one, else the value of a probe that ran before the trial was stopped."""
    for name in (measurement, f"probe.{measurement}"):
        value = trial.value(name)
        if value is not None and math.isfinite(value):
            return value
    return None


def _chart(
    record: RunRecord, name: str, title: str, x: Axis, y: Axis, color: Axis | None, front: frozenset[int]
) -> Chart | None:
    groups: dict[Group, list[Point]] = {"front": [], "feasible": [], "infeasible": [], "stopped": [], "baseline": []}
    for trial in record.trials:
        here, there = plotted(trial, x.measurement), plotted(trial, y.measurement)
        if trial.duplicate_of is None and here is not None and there is not None and here > 0:
            shade = None if color is None else plotted(trial, color.measurement)
            groups[group_of(trial, front)].append(Point(trial.number, here, there, shade))
    shown = [point for group in groups.values() for point in group]
    if not shown:
        return None
    lines = tuple(line for budget in record.budgets if (line := _line(record, budget, x, y)) is not None)
    feasible = groups["front"] + [p for p in groups["baseline"] if p.trial in front] + groups["feasible"]
    focus = groups["front"] + groups["baseline"] + groups["feasible"]
    if len(focus) <= len(groups["baseline"]):  # nothing is feasible: show the better half of the infeasible trials
        ranked = sorted(groups["infeasible"], key=lambda point: point.y if y.minimize else -point.y)
        focus = focus + ranked[: (len(ranked) + 1) // 2] or shown
    x_values = [p.x for p in focus] + [line.value for line in lines if line.axis == "x"]
    y_values = [p.y for p in focus] + [line.value for line in lines if line.axis == "y"]
    x_values += _near([p.x for p in shown], x_values)
    y_values += _near([p.y for p in shown], y_values)
    x = dataclasses.replace(x, log=wide(x_values))
    y = dataclasses.replace(y, log=y.measurement != "metric" and wide(y_values))
    x_range, y_range = _range(x_values, x.log), _range(y_values, y.log)
    inside = [p for p in shown if x_range[0] <= p.x <= x_range[1] and y_range[0] <= p.y <= y_range[1]]
    colored = any(point.color is not None for point in shown)
    return Chart(
        name=name,
        title=title[0].upper() + title[1:],
        x=x,
        y=y,
        color=color if colored else None,
        groups={group: tuple(found) for group, found in groups.items()},
        steps=staircase([(p.x, p.y) for p in feasible], minimize_y=y.minimize),
        lines=lines,
        x_range=x_range,
        y_range=y_range,
        outside=len(shown) - len(inside),
    )


def wide(values: Sequence[float]) -> bool:
    """True if the values span a factor of more than 6, so that they need a logarithmic scale."""
    return max(values) > 6 * min(values) > 0


def group_of(trial: Trial, front: Container[int]) -> Group:
    if trial.number == 0:
        return "baseline"
    if trial.state is State.COMPLETE:
        return "front" if trial.number in front else "feasible"
    return "infeasible" if trial.state is State.INFEASIBLE else "stopped"


def staircase(values: Sequence[tuple[float, float]], *, minimize_y: bool) -> tuple[tuple[float, float], ...]:
    """The non-dominated points of ``values`` (x, y) by increasing x; x is minimized."""
    sign = 1.0 if minimize_y else -1.0
    kept: list[tuple[float, float]] = []
    for x, y in sorted(values, key=lambda value: (value[0], sign * value[1])):
        if not kept or sign * y < sign * kept[-1][1]:
            kept.append((x, y))
    return tuple(kept)


def _near(values: Sequence[float], focus: Sequence[float]) -> list[float]:
    """The values that lie at most half the width of the focus away from it.

    Other values would compress it to a line.
    """
    low, high = min(focus), max(focus)
    width = 0.5 * ((high - low) or abs(high) * 0.1 or 1.0)
    return [value for value in values if low - width <= value <= high + width]


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        factor = (high / low) ** 0.08
        return low / factor, high * factor
    pad = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return low - pad, high + pad


def _line(record: RunRecord, budget: Budget, x: Axis, y: Axis) -> Line | None:
    if budget.measurement == x.measurement:
        return Line("x", budget.limit, budget_words(budget))
    if budget.measurement == y.measurement:
        return Line("y", budget.limit, budget_words(budget))
    if (
        y.measurement == "metric"
        and budget.measurement == "drop"
        and record.baseline is not None
        and (base := finite_value(record.baseline, "metric")) is not None
    ):
        allowed = budget.limit if record.metric.bounded else budget.limit * abs(base)
        return Line("y", base + allowed if y.minimize else base - allowed, budget_words(budget))
    return None
