"""A chart of the Pareto front as SVG, for browsers without JavaScript. The style sheet of the page sets its colors."""

import math

from markupsafe import Markup, escape

from litetuner.reports.html.axis import tick_values
from litetuner.reports.model.sections.charts import Axis, Chart, Group, Point

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 78, 20, 28, 54
ORDER: tuple[Group, ...] = ("stopped", "infeasible", "feasible", "front", "baseline")
MARKS: dict[Group, str] = {
    "stopped": '<circle class="sopen" cx="{x}" cy="{y}" r="2.5"/>',
    "infeasible": '<path class="sopen" d="M{x} {y}m-3-3l6 6m0-6l-6 6"/>',
    "feasible": '<circle class="sdot" cx="{x}" cy="{y}" r="3.5"/>',
    "front": '<a href="#trial-{trial}"><circle class="sfront" cx="{x}" cy="{y}" r="6"><title>trial {trial}</title></circle></a>',
    "baseline": '<path class="sbase" d="M{x} {y}m0-7l7 7-7 7-7-7z"/>',
}


def static_chart(chart: Chart) -> Markup:
    """The chart with its marks, Pareto front, budgets and axes. Marks outside of its range are left out."""
    parts = [_grid(chart), _front(chart), _budgets(chart)]
    for group in ORDER:
        parts += [_mark(chart, group, point) for point in chart.groups[group]]
    name = escape(f"{chart.title}: scatter plot of the measured files")
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return Markup(f'<svg class="static" {size} role="img" aria-label="{name}">{"".join(parts)}</svg>')


def _x(chart: Chart, value: float) -> float:
    return LEFT + _share(value, chart.x, chart.x_range) * (WIDTH - LEFT - RIGHT)


def _y(chart: Chart, value: float) -> float:
    return HEIGHT - BOTTOM - _share(value, chart.y, chart.y_range) * (HEIGHT - TOP - BOTTOM)


def _share(value: float, axis: Axis, shown: tuple[float, float]) -> float:
    low, high = shown
    if axis.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low) if high > low else 0.5


def _mark(chart: Chart, group: Group, point: Point) -> str:
    inside = chart.x_range[0] <= point.x <= chart.x_range[1] and chart.y_range[0] <= point.y <= chart.y_range[1]
    x, y = (f"{_x(chart, point.x):.1f}", f"{_y(chart, point.y):.1f}") if inside else ("", "")
    return MARKS[group].format(x=x, y=y, trial=point.trial) if inside else ""


def _front(chart: Chart) -> str:
    corners = [(_x(chart, x), _y(chart, y)) for x, y in chart.steps]
    if len(corners) < 2:
        return ""
    path = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in corners[1:])
    return f'<path class="sline" d="{path}"/>'


def _budgets(chart: Chart) -> str:
    parts = []
    for line in chart.lines:
        text = escape(line.text)
        if line.axis == "x":
            x = _x(chart, line.value)
            anchor = "end" if x > WIDTH - 140 else "start" if x < LEFT + 60 else "middle"
            parts.append(f'<path class="sbudget" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
            parts.append(f'<text x="{x:.1f}" y="{TOP - 8}" text-anchor="{anchor}">{text}</text>')
        else:
            y = _y(chart, line.value)
            parts.append(f'<path class="sbudget" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{WIDTH - RIGHT}" y="{y - 5:.1f}" text-anchor="end">{text}</text>')
    return "".join(parts)


def _grid(chart: Chart) -> str:
    bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    parts = []
    for value, text in tick_values(chart.x, chart.x_range):
        x = f"{_x(chart, value):.1f}"
        parts.append(f'<path class="sgrid" d="M{x} {TOP}V{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{escape(text)}</text>')
    for value, text in tick_values(chart.y, chart.y_range):
        y = _y(chart, value)
        parts.append(f'<path class="sgrid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    parts.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(chart.x.title)}</text>')
    center = (TOP + bottom) / 2
    turned = f'transform="rotate(-90 16 {center})"'
    parts.append(f'<text x="16" y="{center}" {turned} text-anchor="middle">{escape(chart.y.title)}</text>')
    return "".join(parts)
