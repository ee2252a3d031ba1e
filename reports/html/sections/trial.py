"""Section "Selected trial": its steps, layers, stages and commands. A script fills it when a trial is clicked."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report


class TrialSection(Section):
    name = "trial"
    order = 15
    title = "Selected trial"

    def render(self, report: Report) -> Content | None:
        return Content(draw("trial.html", best=report.result.best)) if report.trials else None
