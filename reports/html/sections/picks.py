"""Section "Picks": one card for each trial that was picked, with all its pick names."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report

MEANINGS = {
    "accurate": "best metric",
    "balanced": "nearest to the best of all objectives",
    "smallest": "smallest size",
    "fastest": "lowest latency",
    "robust": "best worst target",
}


class PicksSection(Section):
    name = "picks"
    order = 20
    title = "Picks"

    def render(self, report: Report) -> Content | None:
        result = report.result
        if not result.picks:
            return None
        cards = [(names, result.rows[number]) for number, names in result.pick_names.items()]
        return Content(draw("picks.html", result=result, cards=cards, meanings=MEANINGS))
