"""Failures and rejections by reason."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.view import View

MOST = 30


class RejectionsSection(Section):
    name = "rejections"
    order = 55
    title = "Why candidates were not kept"

    def render(self, view: View) -> Content | None:
        found = view.rejections
        if not found:
            return None
        largest = found[0].count
        lines = [(item, item.count / largest) for item in found[:MOST]]
        return Content(draw("rejections.html", lines=lines, more=sum(item.count for item in found[MOST:])))
