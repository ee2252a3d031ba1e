"""Section "Result": the best trial compared with the baseline, or why nothing is feasible."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report


class HeadlineSection(Section):
    name = "headline"
    order = 0
    title = "Result"

    def render(self, report: Report) -> Content:
        result = report.result
        template = "headline.html" if result.nothing_feasible is None else "nothing_feasible.html"
        return Content(draw(template, result=result))
