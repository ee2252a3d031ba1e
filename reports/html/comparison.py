"""The comparison of two runs as one self-contained HTML file. Each chart shows both Pareto fronts."""

from typing import Any

from markupsafe import Markup

from litetuner.reports.html.draw import TEMPLATES, draw, figure_text, policy, safe_json
from litetuner.reports.model.comparison import Comparison, FrontChart

COLORS = ("#1f6feb", "#d1491b")
MARKS = ("circle", "diamond")


def comparison_page(comparison: Comparison) -> str:
    """The comparison as HTML. Its Content-Security-Policy lists the hashes of its scripts (see ``policy``)."""
    from plotly.offline import get_plotlyjs

    plotly, script = get_plotlyjs(), (TEMPLATES / "comparison.js").read_text(encoding="utf-8")
    return str(
        draw(
            "comparison.html",
            comparison=comparison,
            names=[side.name for side in comparison.sides],
            figures=safe_json({chart.name: _figure(comparison, chart) for chart in comparison.charts}),
            plotly=Markup(plotly),
            script=Markup(script),
            policy=policy(plotly, script),
        )
    )


def _figure(comparison: Comparison, chart: FrontChart) -> dict[str, Any]:
    traces = [trace for index in range(2) for trace in _traces(comparison, chart, index)]
    metric = comparison.sides[0].result.metric_name
    layout = {
        "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {"title": {"text": figure_text(chart.title)}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": figure_text(f"{metric}, search split")}},
        "hovermode": "closest",
    }
    return {"data": traces, "layout": layout}


def _traces(comparison: Comparison, chart: FrontChart, index: int) -> list[dict[str, Any]]:
    line = chart.lines[index]
    points = {
        "type": "scatter",
        "mode": "markers",
        "name": figure_text(comparison.sides[index].name),
        "x": [x for x, _, _ in line.points],
        "y": [y for _, y, _ in line.points],
        "text": [figure_text(text) for _, _, text in line.points],
        "marker": {"size": 9, "symbol": MARKS[index], "color": COLORS[index]},
    }
    corners = {"x": [x for x, _ in line.corners], "y": [y for _, y in line.corners]}
    stroke = {"color": COLORS[index], "dash": ("solid", "dash")[index], "width": 1.5, "shape": "hv"}
    joined = {"type": "scatter", "mode": "lines", "line": stroke, "hoverinfo": "skip", "showlegend": False}
    return [joined | corners, points]
