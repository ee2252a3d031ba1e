"""The picks from the front: one card for each trial, under all the names that it has."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report

MEANINGS = {
    "accurate": "the best metric",
    "balanced": "nearest to the best of everything",
    "smallest": "the least to ship",
    "fastest": "the lowest latency",
    "robust": "gains most where it gains least",
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
