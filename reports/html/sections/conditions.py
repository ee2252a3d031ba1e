"""Section "How it was measured": the measurement method, machine and inputs behind the numbers."""

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report
from litetuner.reports.text.formatting import budget_text


class ConditionsSection(Section):
    name = "conditions"
    order = 65
    title = "How it was measured"

    def render(self, report: Report) -> Content:
        conditions, record = report.conditions, report.result.record
        inputs = {"data": record.data, "model": record.model}
        measured = list(zip(conditions.measurements, conditions.own, strict=True))
        budgets = [budget_text(budget) for budget in record.budgets]
        values = {"conditions": conditions, "measured": measured, "budgets": budgets}
        return Content(draw("conditions.html", result=report.result, **values, **inputs))
