"""Two fronts over each other: in the terminal as a table, in a browser as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from litetuner.reports.html.draw import draw, figure_text, safe_json
from litetuner.reports.model.comparison import Comparison, Side
from litetuner.reports.text.formatting import clean, latency, number, points, size, times
from litetuner.search.config.units import format_seconds
from litetuner.search.front import Objective, front

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = ("#1f6feb", "#d1491b")
MARKS = ("circle", "diamond")
SCRIPT = """
const told = JSON.parse(document.getElementById("told").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
for (const [id, figure] of Object.entries(told)) {
  const ink = dark ? "#dddddd" : "#222222", line = dark ? "#444444" : "#dddddd";
  const axis = { gridcolor: line, zerolinecolor: line, color: ink };
  Object.assign(figure.layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink } });
  Object.assign(figure.layout.xaxis, axis);
  Object.assign(figure.layout.yaxis, axis);
  Plotly.newPlot(id, figure.data, figure.layout, { responsive: true, displaylogo: false });
}
"""


def lines_of(comparison: Comparison) -> list[tuple[str, str, str]]:
    """What is compared, a line each: what, the first run's, the second run's. Terminal and page show the same."""
    first, second = comparison.sides

    def line(what: str, show: Any) -> tuple[str, str, str]:
        return what, show(first), show(second)

    def of_best(show: Any) -> Any:
        return lambda side: "–" if side.best is None else show(side)

    view = first.view
    return [
        line("search", lambda side: format_seconds(side.view.record.seconds.get("wall") or 0.0)),
        line("trials", lambda side: str(len(side.view.record.trials))),
        line("front", lambda side: str(len(side.view.front))),
        line("hypervolume", lambda side: f"{side.volume:.4f}"),
        line("unmatched by the other", lambda side: f"{side.ahead} of {len(side.view.front)}"),
        line("best", of_best(lambda side: f"{clean(side.best.label, 60)}, trial {side.best.trial}")),
        line(f"  {view.metric_name}", of_best(lambda side: number(side.best.metric))),
        line("  loss", of_best(lambda side: points(side.best.drop))),
        line("  loss, test split", of_best(lambda side: points(side.best.test_drop))),
        line("  compressed", of_best(lambda side: size(side.best.compressed_bytes))),
        line("  file", of_best(lambda side: size(side.best.file_bytes))),
        line("  latency", of_best(lambda side: latency(side.best.latency_us.get(side.view.target)))),
        line("  speed", of_best(lambda side: times(side.best.latency_ratio.get(side.view.target)))),
    ]


def comparison_table(comparison: Comparison) -> RenderableType:
    """The comparison for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for side in comparison.sides:
        table.add_column(Text(side.name), overflow="fold", ratio=1)
    for what, *values in lines_of(comparison):
        table.add_row(Text(what), *(Text(value) for value in values), style="bold" if what == "best" else "")
    budgets = " ".join(comparison.budgets) or "no budgets"
    notes = [Text(note, style="yellow") for note in comparison.notes]
    return Group(Text(f"both under {clean(budgets, 300)}"), table, Text(verdict(comparison)), *notes)


def verdict(comparison: Comparison) -> str:
    """One sentence: whose front covers more, and by how much."""
    first, second = comparison.sides
    more, less = (first, second) if first.volume >= second.volume else (second, first)
    if more.volume == 0:
        return "Neither run has a file within these budgets that is better than the original."
    if less.volume == 0:
        return f"Only {more.name} has files within these budgets."
    if more.volume / less.volume < 1.0005:
        return "Both fronts cover the same."
    return f"The front of {more.name} covers {100 * (more.volume / less.volume - 1):.1f} % more."


def comparison_page(comparison: Comparison) -> str:
    """The comparison as HTML: no connection, and only scripts whose hash the page names."""
    from plotly.offline import get_plotlyjs

    plotly = get_plotlyjs()
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (plotly, SCRIPT))
    first = comparison.sides[0].view
    charts = {
        "size": (first.size_measurement, f"{first.record.config.size} bytes"),
        "latency": (first.record.config.latency_measurement, f"latency on {first.target}, µs"),
    }
    figures = {name: _figure(comparison, *axis) for name, axis in charts.items()}
    return str(
        draw(
            "comparison.html",
            names=[side.name for side in comparison.sides],
            lines=lines_of(comparison),
            verdict=verdict(comparison),
            budgets=" ".join(comparison.budgets) or "none",
            notes=comparison.notes,
            charts=list(figures),
            figures=safe_json(figures),
            plotly=Markup(plotly),
            script=Markup(SCRIPT),
            policy=" ".join(f"'sha256-{each}'" for each in hashes),
        )
    )


def _figure(comparison: Comparison, measurement: str, title: str) -> dict[str, Any]:
    traces = [trace for index, side in enumerate(comparison.sides) for trace in _traces(side, measurement, index)]
    view = comparison.sides[0].view
    layout = {
        "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {"title": {"text": figure_text(title)}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": figure_text(f"{view.metric_name}, search split")}},
        "hovermode": "closest",
    }
    return {"data": traces, "layout": layout}


def _traces(side: Side, measurement: str, index: int) -> list[dict[str, Any]]:
    """A run's front as points, and as a line those of it that no other beats in the metric and this measurement."""
    shown = [trial for trial in side.view.front if side.view.finite(trial, measurement) is not None]
    pair = [Objective("metric", side.view.record.metric.direction), Objective(measurement, "minimize")]
    joined = sorted(front(shown, pair), key=lambda trial: trial.value(measurement) or 0.0)
    points = {
        "type": "scatter",
        "mode": "markers",
        "name": figure_text(side.name),
        "x": [trial.value(measurement) for trial in shown],
        "y": [trial.value("metric") for trial in shown],
        "text": [figure_text(f"trial {trial.number}: {clean(trial.candidate.label, 80)}") for trial in shown],
        "marker": {"size": 9, "symbol": MARKS[index], "color": COLOURS[index]},
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [trial.value(measurement) for trial in joined],
        "y": [trial.value("metric") for trial in joined],
        "line": {"color": COLOURS[index], "dash": "solid" if index == 0 else "dash", "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [line, points]
