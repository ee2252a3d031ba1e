"""Section "Rejected candidates": failures and rejections by reason."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report

MOST = 30


class RejectionsSection(Section):
    name = "rejections"
    order = 55
    title = "Rejected candidates"

    def render(self, report: Report) -> Content | None:
        found = report.rejections
        if not found:
            return None
        return Content(draw("rejections.html", lines=found[:MOST], more=sum(item.count for item in found[MOST:])))
