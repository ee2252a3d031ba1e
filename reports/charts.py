"""The charts of the front, computed: points by group, the joined front, budget lines and the part of the plane that is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from litetuner.reports.words import between, budget_text, clean, latency, number, points, size
from litetuner.search.budgets import Budget
from litetuner.search.trial import State, Trial

if TYPE_CHECKING:
    from litetuner.reports.view import View

Group = Literal["front", "feasible", "infeasible", "stopped", "baseline"]


@dataclasses.dataclass(frozen=True)
class Axis:
    """A measurement on an axis. ``unit`` divides the values for display (1000: kB)."""

    measurement: str
    title: str
    minimize: bool
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Point:
    """A trial in a chart; ``lines`` are what a reader sees on it."""

    trial: int
    x: float
    y: float
    colour: float | None
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Line:
    """A budget in a chart."""

    axis: Literal["x", "y"]
    value: float
    text: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """``steps`` are the corners of the front that this pair of objectives has; ``outside`` counts points beyond the range."""

    name: str
    title: str
    x: Axis
    y: Axis
    colour: Axis | None
    groups: dict[Group, tuple[Point, ...]]
    steps: tuple[tuple[float, float], ...]
    lines: tuple[Line, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    outside: int


def find_charts(view: View) -> tuple[Chart, ...]:
    """Metric against size with latency as colour, and metric against latency with size as colour."""
    minimized = view.record.metric.direction == "minimize"
    metric = Axis("metric", view.metric_name + (", less is better" if minimized else ""), minimized)
    word = "deflated" if view.size_measurement == "deflated_bytes" else "file"
    by_size = Axis(view.size_measurement, f"size, {word} bytes", True)
    by_latency = Axis(f"latency_us:{view.target}", f"latency on {clean(view.target, 40)}, µs", True)
    found = (
        _chart(view, "size", f"{view.metric_name} against size", by_size, metric, by_latency),
        _chart(view, "latency", f"{view.metric_name} against latency", by_latency, metric, by_size),
    )
    return tuple(chart for chart in found if chart is not None)


def _chart(view: View, name: str, title: str, x: Axis, y: Axis, colour: Axis) -> Chart | None:
    groups: dict[Group, list[Point]] = {"front": [], "feasible": [], "infeasible": [], "stopped": [], "baseline": []}
    members = {trial.number for trial in view.front}
    for trial in view.record.trials:
        here, there = view.finite(trial, x.measurement), view.finite(trial, y.measurement)
        if trial.duplicate_of is None and here is not None and there is not None and here > 0:
            point = Point(trial.number, here, there, view.finite(trial, colour.measurement), hover(view, trial))
            groups[_group(trial, members)].append(point)
    shown = [point for group in groups.values() for point in group]
    if not shown:
        return None
    lines = tuple(line for budget in view.budgets if (line := _line(view, budget, x, y)) is not None)
    feasible = groups["front"] + [p for p in groups["baseline"] if p.trial in members] + groups["feasible"]
    focus = groups["front"] + groups["baseline"] + groups["feasible"]
    if len(focus) <= len(groups["baseline"]):  # nothing feasible: look at the better half of what there is
        ranked = sorted(groups["infeasible"], key=lambda point: point.y if y.minimize else -point.y)
        focus = focus + ranked[: (len(ranked) + 1) // 2] or shown
    x_values = [p.x for p in focus] + [line.value for line in lines if line.axis == "x"]
    y_values = [p.y for p in focus] + [line.value for line in lines if line.axis == "y"]
    x_values += _near([p.x for p in shown], x_values)
    y_values += _near([p.y for p in shown], y_values)
    log = max(x_values) > 6 * min(x_values) > 0
    x = dataclasses.replace(x, log=log)
    x_range, y_range = _range(x_values, log), _range(y_values, False)
    inside = [p for p in shown if x_range[0] <= p.x <= x_range[1] and y_range[0] <= p.y <= y_range[1]]
    coloured = any(point.colour is not None for point in shown)
    return Chart(
        name=name,
        title=title[0].upper() + title[1:],
        x=x,
        y=y,
        colour=colour if coloured else None,
        groups={group: tuple(found) for group, found in groups.items()},
        steps=staircase([(p.x, p.y) for p in feasible], minimize_y=y.minimize),
        lines=lines,
        x_range=x_range,
        y_range=y_range,
        outside=len(shown) - len(inside),
    )


def _group(trial: Trial, front: set[int]) -> Group:
    if trial.number == 0:
        return "baseline"
    if trial.state is State.COMPLETE:
        return "front" if trial.number in front else "feasible"
    return "infeasible" if trial.state is State.INFEASIBLE else "stopped"


def staircase(values: Sequence[tuple[float, float]], *, minimize_y: bool) -> tuple[tuple[float, float], ...]:
    """The non-dominated of points (x, y), x minimised, by increasing x."""
    sign = 1.0 if minimize_y else -1.0
    kept: list[tuple[float, float]] = []
    for x, y in sorted(values, key=lambda value: (value[0], sign * value[1])):
        if not kept or sign * y < sign * kept[-1][1]:
            kept.append((x, y))
    return tuple(kept)


def _near(values: Sequence[float], focus: Sequence[float]) -> list[float]:
    """The values at most half as far from the focus as it is wide: the rest would squeeze it to a line."""
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


def _line(view: View, budget: Budget, x: Axis, y: Axis) -> Line | None:
    if budget.measurement == x.measurement:
        return Line("x", budget.limit, budget_text(budget).removeprefix("--"))
    if budget.measurement == y.measurement:
        return Line("y", budget.limit, budget_text(budget).removeprefix("--"))
    if budget.measurement == "drop" and view.baseline is not None and view.baseline.metric is not None:
        base = view.baseline.metric
        allowed = budget.limit if view.bounded else budget.limit * abs(base)
        return Line("y", base + allowed if y.minimize else base - allowed, budget_text(budget).removeprefix("--"))
    return None


def hover(view: View, trial: Trial) -> tuple[str, ...]:
    """What a reader sees on a point: recipe, state, and every number that there is."""
    row = view.row(trial)
    lines = [clean(row.label, 120), f"trial {row.trial} · {row.state.lower()}"]
    lines += [
        f"{title} {show(value)}{_spread(interval, show)}"
        for title, value, interval, show in (
            (clean(view.metric_name, 40), row.metric, row.metric_interval, number),
            ("loss", row.drop, None, points),
            ("deflated", row.deflated_bytes, None, size),
            ("file", row.file_bytes, None, size),
            *((clean(t, 40), v, row.latency_interval_us.get(t), latency) for t, v in row.latency_us.items()),
        )
        if value is not None
    ]
    return tuple(lines)


def _spread(interval: tuple[float, float] | None, show: Callable[[float | None], str]) -> str:
    return "" if interval is None else f" ({between(interval, show)})"
