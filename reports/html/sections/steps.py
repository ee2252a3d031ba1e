"""Section "What each step contributes": the best trial compared with the same candidate without one of its steps."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report
from litetuner.reports.model.sections.ablation import WithoutStep
from litetuner.reports.text.formatting import latency, minus, number, size


class StepsSection(Section):
    name = "steps"
    order = 25
    title = "What each step contributes"

    def render(self, report: Report) -> Content | None:
        ablation = report.ablation
        if ablation is None:
            return None
        bounded = report.result.record.metric.bounded
        lines = [("nothing (the best)", ablation.best, _cells(ablation.best, bounded))]
        lines += [(item.without, item, _cells(item, bounded)) for item in ablation.steps]
        return Content(draw("steps.html", result=report.result, lines=lines))


def _cells(item: WithoutStep, bounded: bool) -> list[tuple[str, str]]:
    """Metric, size and latency as text, each with its difference from the best."""
    change = item.metric_change
    metric = ""
    if change is not None:
        metric = minus(f"{change * 100:+.2f}") + " points" if bounded else minus(f"{change:+.4g}")
    return [
        (number(item.metric), metric),
        (size(item.size_bytes), _share(item.size_change)),
        (latency(item.latency_us), _share(item.latency_change)),
    ]


def _share(change: float | None) -> str:
    return "" if change is None else minus(f"{change * 100:+.1f}") + " %"
