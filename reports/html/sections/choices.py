"""Section "Which choices matter": parameter importance, and all choices and objectives in parallel coordinates."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report


class ChoicesSection(Section):
    name = "choices"
    order = 45
    title = "Which choices matter"

    def render(self, report: Report) -> Content | None:
        choices = report.choices
        if not choices.ranked and not choices.varied and not choices.problem:
            return None
        return Content(draw("choices.html", choices=choices))
