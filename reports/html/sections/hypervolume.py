"""Section "Search progress": the hypervolume over time."""

from typing import Any

from litetuner.reports.html.draw import draw, figure_text
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report
from litetuner.reports.model.sections.progress import HypervolumeGrowth
from litetuner.search.config.units import format_seconds


class HypervolumeSection(Section):
    name = "volume"
    order = 50
    title = "Search progress"

    def render(self, report: Report) -> Content | None:
        growth = report.hypervolume
        if growth is None:
            return None
        return Content(
            draw("hypervolume.html", growth=growth, bounded=report.result.record.metric.bounded),
            {"chart-volume": figure(growth)},
        )


def figure(growth: HypervolumeGrowth) -> dict[str, Any]:
    end = growth.end
    points = [(item.seconds, item.value, item.trial) for item in growth.values]
    unit, word = (60.0, "minutes") if end < 7200 else (3600.0, "hours")
    xs = [round(seconds / unit, 4) for seconds, _, _ in points] + [round(end / unit, 4)]
    ys = [round(value, 6) for _, value, _ in points] + [round(points[-1][1], 6)]
    texts = [f"trial {trial}, after {format_seconds(seconds)}" for seconds, _, trial in points] + ["now"]
    look = {"type": "scatter", "mode": "lines", "meta": {"role": "area"}}
    values = {"x": xs, "y": ys, "text": [figure_text(text) for text in texts]}
    area = {"line": {"shape": "hv"}, "fill": "tozeroy", "hovertemplate": "%{y:.4f}<br>%{text}<extra></extra>"}
    x_axis = {"title": {"text": f"{word} of the run"}, "rangemode": "tozero"}
    y_axis = {"title": {"text": "hypervolume"}, "rangemode": "tozero"}
    return {"data": [look | values | area], "layout": {"xaxis": x_axis, "yaxis": y_axis}}
