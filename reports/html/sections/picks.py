"""The picks from the front: one card for each trial, under all the names that it has."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.view import View

MEANINGS = {
    "accurate": "the best metric",
    "balanced": "nearest to the best of everything",
    "smallest": "the least to ship",
    "fastest": "the lowest latency",
    "robust": "gains most where it gains least",
}


class PicksSection(Section):
    name = "picks"
    order = 20
    title = "Picks"

    def render(self, view: View) -> Content | None:
        if not view.picks:
            return None
        names: dict[int, list[str]] = {}
        for name, trial in view.picks.items():
            names.setdefault(trial.number, []).append(name)
        trials = {trial.number: trial for trial in view.picks.values()}
        cards = [(found, view.row(trials[number])) for number, found in names.items()]
        return Content(draw("picks.html", view=view, cards=cards, meanings=MEANINGS))
