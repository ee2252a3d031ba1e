"""What you had, what you get; or why there is nothing to get."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.blocking_budgets import command
from litetuner.reports.model.view import View


class HeadlineSection(Section):
    name = "headline"
    order = 0
    title = "Result"

    def render(self, view: View) -> Content:
        if view.blocked is not None:
            next_command = command(view.record.folder.path, view.blocked, view.budgets)
            return Content(draw("blocked.html", view=view, blocked=view.blocked, command=next_command))
        return Content(draw("headline.html", view=view, headline=view.headline, best=view.best))
