"""Where the time went, and what litetuner itself took of it."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.view import View


class TimeSection(Section):
    name = "time"
    order = 60
    title = "Where the time went"

    def render(self, view: View) -> Content | None:
        use = view.time_use
        parts = [*use.parts, *([("Litetuner itself", use.other)] if use.other is not None else [])]
        total = sum(value for _, value in parts)
        if not total:
            return None
        shares = [(name, value, value / total) for name, value in parts]
        return Content(draw("time.html", use=use, shares=shares))
