"""Section "Pareto front": a chart for each pair of objectives."""

import math
from collections.abc import Sequence
from typing import Any

from litetuner.reports.html.axis import log_ticks
from litetuner.reports.html.draw import draw, figure_text
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.html.static_chart import static_chart
from litetuner.reports.model.columns import Column
from litetuner.reports.model.report import Report
from litetuner.reports.model.sections.charts import Axis, Chart, Group, wide

NAMES: dict[Group, str] = {
    "stopped": "pruned",
    "infeasible": "over a budget",
    "feasible": "within budgets",
    "front": "Pareto front",
    "baseline": "baseline",
}
COLOURED: tuple[Group, ...] = ("feasible", "front")
# Possible positions of the label of a horizontal budget line: (share of the chart's width, below the line or not).
PLACES = tuple((side, below) for side in (1.0, 0.0, 0.5) for below in (False, True))
LABEL, MARK = (0.36, 0.085), 0.025  # (width, height) of a label and half of a mark, as shares of a narrow chart


class FrontSection(Section):
    name = "front"
    order = 10
    title = "Pareto front"

    def render(self, report: Report) -> Content | None:
        charts = report.charts
        if not charts:
            return None
        figures = {f"chart-{chart.name}": figure(chart, report.result.columns) for chart in charts}
        counts = {group: max(len(chart.groups[group]) for chart in charts) for group in NAMES}
        legend = [(group, NAMES[group], counts[group]) for group in reversed(NAMES) if counts[group]]
        shown = {"charts": charts[:3], "more": charts[3:], "static": static_chart(charts[0])}
        return Content(draw("front.html", report=report, legend=legend, **shown), figures)


def figure(chart: Chart, columns: Sequence[Column]) -> dict[str, Any]:
    """A plotly layout of a chart, and under ``pair`` the columns to plot.

    The page takes the points from its trial table.
    """
    colored = [p.color for group in COLOURED for p in chart.groups[group] if p.color]
    log = bool(colored) and wide(colored)
    names = [column.name for column in columns]
    layout: dict[str, Any] = {
        "xaxis": _axis(chart.x, chart.x_range),
        "yaxis": _axis(chart.y, chart.y_range),
        "shapes": [_shape(line.axis, line.value) for line in chart.lines],
        "annotations": [_note(chart, line.axis, line.value, line.text) for line in chart.lines],
    }
    if chart.color is not None:
        ticks = log_ticks(chart.color, min(colored), max(colored)) if log else {}
        bar = {"title": {"text": figure_text(_short(chart.color))}} | ticks
        layout["coloraxis"] = {"colorbar": bar} | _colors(colored, log)
    color = -1 if chart.color is None else names.index(chart.color.measurement)
    pair = {"x": names.index(chart.x.measurement), "y": names.index(chart.y.measurement), "color": color, "log": log}
    return {"pair": pair | {"steps": chart.steps}, "layout": layout}


def _colors(values: list[float], log: bool) -> dict[str, float]:
    """The range of the color scale. By default plotly would use the range of the first trace only."""
    if not values:
        return {}
    low, high = (math.log10(bound) if log else bound for bound in (min(values), max(values)))
    pad = 0.0 if high > low else abs(high) * 0.01 or 1.0
    return {"cmin": low - pad, "cmax": high + pad}


def _short(axis: Axis) -> str:
    if axis.measurement.startswith("latency"):
        return "latency, µs"
    return "size, B" if axis.measurement in ("compressed_bytes", "file_bytes") else axis.title


def _axis(axis: Axis, shown: tuple[float, float]) -> dict[str, Any]:
    found: dict[str, Any] = {"title": {"text": figure_text(axis.title)}, "range": list(shown)}
    if axis.log:
        found |= {"type": "log", "range": [math.log10(value) for value in shown]} | log_ticks(axis, *shown)
        found["tickvals"] = [10**value for value in found["tickvals"]]  # a log axis expects values, not logarithms
    elif "_bytes" in axis.measurement:
        found |= {"ticksuffix": "B", "exponentformat": "SI"}
    return found


def _shape(axis: str, value: float) -> dict[str, Any]:
    other = "y" if axis == "x" else "x"
    along = {f"{axis}ref": axis, f"{axis}0": value, f"{axis}1": value}
    across = {f"{other}ref": f"{other} domain", f"{other}0": 0, f"{other}1": 1}
    return {"name": "budget", "type": "line"} | along | across


def _note(chart: Chart, axis: str, value: float, text: str) -> dict[str, Any]:
    """The label of a budget line: above the chart for a vertical line, else where it covers the fewest marks."""
    common = {"name": "budget", "text": figure_text(text), "showarrow": False}
    if axis == "x":
        share = _share(value, chart.x, chart.x_range)
        anchor = "left" if share < 0.15 else "right" if share > 0.85 else "center"
        at = math.log10(value) if chart.x.log else value
        return common | {"x": at, "xref": "x", "y": 1, "yref": "y domain", "xanchor": anchor, "yanchor": "bottom"}
    level = _share(value, chart.y, chart.y_range)
    marks = [
        (_share(point.x, chart.x, chart.x_range), _share(point.y, chart.y, chart.y_range) - level)
        for points in chart.groups.values()
        for point in points
    ]
    side, below = min(PLACES, key=lambda place: _covered(marks, *place))
    at = math.log10(value) if chart.y.log else value
    anchor = "top" if below else "bottom"
    x_anchor = {0.0: "left", 0.5: "center", 1.0: "right"}[side]
    return common | {"x": side, "xref": "x domain", "y": at, "yref": "y", "xanchor": x_anchor, "yanchor": anchor}


def _share(value: float, axis: Axis, shown: tuple[float, float]) -> float:
    """The position of a value along an axis: 0 at its start, 1 at its end."""
    low, high = shown
    if axis.log:
        low, high, value = math.log(low), math.log(high), math.log(value) if value > 0 else -math.inf
    return (value - low) / (high - low) if high > low else 0.5


def _covered(marks: list[tuple[float, float]], side: float, below: bool) -> int:
    """How many marks a label would cover.

    ``marks`` are (position along x, height above the line) as shares of the chart.
    """
    left = side * (1 - LABEL[0])
    low, high = (-LABEL[1], MARK) if below else (-MARK, LABEL[1])
    return sum(left - MARK <= x <= left + LABEL[0] + MARK and low <= y <= high for x, y in marks)
