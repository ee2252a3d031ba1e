"""Section "Nodes of the cluster": the time of jobs on each node, and how busy the parallel trials were."""

from markupsafe import Markup

from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report
from litetuner.search.config.units import format_seconds


class NodesSection(Section):
    name = "nodes"
    order = 61
    title = "Nodes of the cluster"

    def render(self, report: Report) -> Content | None:
        use = report.time_use
        if use is None or not use.nodes:
            return None
        total = sum(seconds for _, seconds in use.nodes) or 1.0
        rows = Markup("").join(
            Markup("<tr><td>{}</td><td>{}</td><td>{:.0%}</td></tr>").format(
                name, format_seconds(seconds), seconds / total
            )
            for name, seconds in use.nodes
        )
        head = Markup("<tr><th>Node</th><th>Jobs</th><th>Share</th></tr>")
        busy = Markup("")
        if use.slots:
            words = "Jobs on the nodes took {:.0%} of the time of all {:.0f} parallel trials."
            busy = Markup("<p>" + words + "</p>").format(total / use.slots, use.parallel)
        return Content(busy + Markup("<table>") + head + rows + Markup("</table>"))
