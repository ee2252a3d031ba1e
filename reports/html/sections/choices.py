"""Which choices matter: parameter importance, and all choices and objectives in parallel coordinates."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.columns import make_column
from litetuner.reports.model.view import View

MOST = 16


class ChoicesSection(Section):
    name = "choices"
    order = 45
    title = "Which choices matter"

    def render(self, view: View) -> Content | None:
        varied = len({str(e.get("chosen")) for t in view.record.trials for e in t.params.values()}) > 1
        if not view.importances and not varied and not view.importance_problem:
            return None
        goals = [
            "reaching the front" if item.goal == "front" else make_column(view, item.goal).title
            for item in view.importances
        ]
        names = list(view.importances[0].shares) if view.importances else []
        ranked = sorted(names, key=lambda name: -max(item.shares.get(name, 0.0) for item in view.importances))[:MOST]
        ranked.sort(key=names.index)
        lines = [(name, [item.shares.get(name, 0.0) for item in view.importances]) for name in ranked]
        return Content(
            draw("choices.html", view=view, goals=goals, lines=lines, hidden=len(names) - len(ranked), varied=varied)
        )
