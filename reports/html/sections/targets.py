"""Section "Targets", for several targets: the Pareto front of each target, and the picks' latencies on all targets."""

from typing import Any

from litetuner.reports.html.draw import draw, figure_text
from litetuner.reports.html.sections.front import figure
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report
from litetuner.reports.model.sections.charts import Chart
from litetuner.reports.model.sections.targets import OnTarget, Targets
from litetuner.reports.text.formatting import latency, times


class TargetsSection(Section):
    name = "targets"
    order = 22
    title = "Targets"

    def render(self, report: Report) -> Content | None:
        found = report.targets
        if found is None:
            return None
        drawn = {target: chart for target, chart in found.charts.items() if chart is not None}
        figures = {f"chart-{chart.name}": marked(report, found, target, chart) for target, chart in drawn.items()}
        lines = [(pick, [_cell(on) for on in pick.on]) for pick in found.picks]
        missing = [target for target in found.charts if target not in drawn]
        charts = [(target, chart, len(report.result.fronts[target])) for target, chart in drawn.items()]
        html = draw("targets.html", result=report.result, found=found, charts=charts, lines=lines, missing=missing)
        return Content(html, figures)


def _cell(on: OnTarget) -> tuple[str, str, bool]:
    return latency(on.latency_us), "" if on.ratio is None else times(on.ratio), on.on_front


def marked(report: Report, found: Targets, target: str, chart: Chart) -> dict[str, Any]:
    """The chart of a target with its own Pareto front (instead of the first target's), and the names of the picks."""
    at = {trial.number: index for index, trial in enumerate(report.trials)}
    drawn = figure(chart, report.result.columns)
    names = [[at[pick.row.trial], figure_text(", ".join(pick.names))] for pick in found.picks]
    own = {"front": [at[number] for number in report.result.fronts[target]], "names": names, "down": chart.y.minimize}
    return drawn | {"pair": drawn["pair"] | own}
