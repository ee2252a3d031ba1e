"""Section "All trials": one table, with the reasons of rejections. A script fills it, fifty rows at a time."""

from collections import Counter

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report
from litetuner.reports.model.sections.trial_details import STATES

MOST_STATIC = 40  # rows that are shown without JavaScript: the baseline and the Pareto front


class TrialsSection(Section):
    name = "trials"
    order = 40
    title = "All trials"

    def render(self, report: Report) -> Content | None:
        if not report.trials:
            return None
        counts = Counter(trial.state for trial in report.trials)
        chips = [(at, state, counts[state]) for at, state in enumerate(STATES) if counts[state]]
        by_number = {trial.number: trial for trial in report.trials}
        static = [*([report.result.baseline] if report.result.baseline else []), *report.result.front]
        numbers = list(dict.fromkeys(row.trial for row in static))[:MOST_STATIC]
        columns = report.result.columns
        lines = [by_number[number] for number in numbers]
        more = [(at, column) for at, column in enumerate(columns) if not column.essential]
        return Content(
            draw("trials.html", count=len(report.trials), lines=lines, columns=columns, chips=chips, more=more)
        )
