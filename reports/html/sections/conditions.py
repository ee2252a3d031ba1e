"""How the numbers were measured, and on what."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.conditions import flatten, shared
from litetuner.reports.model.view import View
from litetuner.reports.text.formatting import budget_text


class ConditionsSection(Section):
    name = "conditions"
    order = 65
    title = "How the numbers were made"

    def render(self, view: View) -> Content:
        common, own = shared(view.conditions)
        return Content(
            draw(
                "conditions.html",
                view=view,
                measured=list(zip(view.conditions, own, strict=True)),
                common=common,
                data=view.record.data,
                model=view.record.model,
                environment=[pair for pair in flatten(view.record.environment) if pair[0] != "format version"],
                budgets=[budget_text(budget) for budget in view.budgets],
                settings=list(flatten(view.record.config.model_dump(mode="json"))),
            )
        )
