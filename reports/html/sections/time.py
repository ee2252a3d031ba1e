"""Section "Time used": the time of each kind of work and of litetuner itself."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report


class TimeSection(Section):
    name = "time"
    order = 60
    title = "Time used"

    def render(self, report: Report) -> Content | None:
        return None if report.time_use is None else Content(draw("time.html", use=report.time_use))
