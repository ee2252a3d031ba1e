"""The chosen trial: its recipe, layers, stages and commands; the page fills it with whatever is clicked."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.view import View


class TrialSection(Section):
    name = "trial"
    order = 15
    title = "The chosen trial"

    def render(self, view: View) -> Content | None:
        if not view.record.trials:
            return None
        return Content(draw("trial.html", best=view.best_trial))
