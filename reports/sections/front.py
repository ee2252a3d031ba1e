"""The front: the metric against size and against latency."""

from __future__ import annotations

import math
from typing import Any

from litetuner.reports.charts import Axis, Chart, Group, Point
from litetuner.reports.draw import draw, figure_text
from litetuner.reports.section import Content, Section
from litetuner.reports.view import View
from litetuner.search.units import format_bytes

NAMES: dict[Group, str] = {
    "stopped": "stopped early",
    "infeasible": "over a budget",
    "feasible": "within budgets",
    "front": "front",
    "baseline": "baseline",
}
COLOURED: tuple[Group, ...] = ("feasible", "front")


class FrontSection(Section):
    name = "front"
    order = 10
    title = "The front"

    def render(self, view: View) -> Content | None:
        if not view.charts:
            return None
        figures = {f"chart-{chart.name}": figure(chart) for chart in view.charts}
        counts = {group: max(len(chart.groups[group]) for chart in view.charts) for group in NAMES}
        legend = [(group, NAMES[group], counts[group]) for group in reversed(NAMES) if counts[group]]
        return Content(draw("front.html", view=view, charts=view.charts, legend=legend), figures)


def figure(chart: Chart) -> dict[str, Any]:
    """A chart as a plotly figure."""
    traces: list[dict[str, Any]] = []
    if len(chart.steps) > 1:
        xs, ys = zip(*chart.steps, strict=True)
        line = {"shape": "hv", "width": 1.5}
        traces.append(
            _trace("line", "joined front", {"x": xs, "y": ys, "mode": "lines", "line": line, "hoverinfo": "skip"})
        )
    log = _wide([p.colour for group in COLOURED for p in chart.groups[group] if p.colour])
    for group, name in NAMES.items():
        points = chart.groups[group]
        if points:
            traces.append(_points(group, name, points, log and group in COLOURED))
    layout: dict[str, Any] = {
        "xaxis": _axis(chart.x, chart.x_range),
        "yaxis": _axis(chart.y, chart.y_range),
        "shapes": [_shape(line.axis, line.value) for line in chart.lines],
        "annotations": [_note(chart, line.axis, line.value, line.text) for line in chart.lines],
    }
    if chart.colour is not None:
        layout["coloraxis"] = {"colorbar": {"title": {"text": figure_text(_short(chart.colour))}} | _ticks(chart, log)}
    return {"data": traces, "layout": layout}


def _trace(role: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "scatter", "name": name, "meta": {"role": role}} | values


def _points(group: Group, name: str, points: tuple[Point, ...], log: bool) -> dict[str, Any]:
    lines = [[figure_text(line) for line in point.lines] for point in points]
    marker: dict[str, Any] = {}
    if group in COLOURED and any(point.colour is not None for point in points):
        marker = {"coloraxis": "coloraxis", "color": [_colour(point.colour, log) for point in points]}
    return _trace(
        group,
        name,
        {
            "mode": "markers",
            "x": [point.x for point in points],
            "y": [point.y for point in points],
            "marker": marker,
            "customdata": [point.trial for point in points],
            "text": ["<br>".join([f"<b>{_fold(first)}</b>", *rest]) for first, *rest in lines],
            "hovertemplate": "%{text}<extra></extra>",
        },
    )


def _fold(text: str, width: int = 46) -> str:
    """Long recipes on several lines, broken after a ``+`` where there is one."""
    parts, line = [], ""
    for part in text.replace("+", "+\0").split("\0"):
        if line and len(line) + len(part) > width:
            parts.append(line)
            line = ""
        line += part
    return "<br>".join([*parts, line])


def _colour(value: float | None, log: bool) -> float | None:
    return math.log10(value) if log and value else value


def _wide(values: list[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) > 6 * min(values)


def _ticks(chart: Chart, log: bool) -> dict[str, Any]:
    if not log or chart.colour is None:
        return {}
    values = [p.colour for group in COLOURED for p in chart.groups[group] if p.colour]
    return _log_ticks(chart.colour, min(values), max(values))


def _log_ticks(axis: Axis, low: float, high: float) -> dict[str, Any]:
    """Marks at 1, 2, 5, 10, 20, ..., only the powers of ten where those would be too many; positions are logarithms."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [m * 10.0**e for e in powers for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    if len(marks) > 8:
        marks = [10.0**e for e in powers if low <= 10.0**e <= high]
    return {"tickvals": [math.log10(mark) for mark in marks], "ticktext": [_mark(axis, mark) for mark in marks]}


def _mark(axis: Axis, value: float) -> str:
    return (
        (format_bytes if axis.measurement.endswith("_bytes") else "{:g}".format)(value)
        .replace(".00", "")
        .replace(".0", "")
    )


def _short(axis: Axis) -> str:
    return "latency, µs" if axis.measurement.startswith("latency") else "size, B"


def _axis(axis: Axis, shown: tuple[float, float]) -> dict[str, Any]:
    found: dict[str, Any] = {"title": {"text": figure_text(axis.title)}, "range": list(shown)}
    if axis.log:
        ticks = _log_ticks(axis, *shown)
        at = [10**value for value in ticks["tickvals"]]  # the axis wants values, a colour bar their logarithms
        found |= {
            "type": "log",
            "range": [math.log10(value) for value in shown],
            "tickvals": at,
            "ticktext": ticks["ticktext"],
        }
    elif axis.measurement.endswith("_bytes"):
        found |= {"ticksuffix": "B", "exponentformat": "SI"}
    return found


def _shape(axis: str, value: float) -> dict[str, Any]:
    other = "y" if axis == "x" else "x"
    return {
        "name": "budget",
        "type": "line",
        f"{axis}ref": axis,
        f"{axis}0": value,
        f"{axis}1": value,
        f"{other}ref": f"{other} domain",
        f"{other}0": 0,
        f"{other}1": 1,
    }


def _note(chart: Chart, axis: str, value: float, text: str) -> dict[str, Any]:
    common = {"name": "budget", "text": figure_text(text), "showarrow": False}
    if axis == "x":
        at = math.log10(value) if chart.x.log else value
        place = {
            "x": at,
            "xref": "x",
            "y": 0,
            "yref": "y domain",
            "xanchor": "right",
            "yanchor": "bottom",
            "textangle": -90,
        }
        return common | place
    return common | {"x": 1, "xref": "x domain", "y": value, "yref": "y", "xanchor": "right", "yanchor": "bottom"}
