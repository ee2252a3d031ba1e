"""What was asked of each layer of the best file, and what was found in it."""

from __future__ import annotations

from typing import Any

from litetuner.reports.draw import draw
from litetuner.reports.section import Content, Section
from litetuner.reports.view import View
from litetuner.reports.words import clean


class LayersSection(Section):
    name = "layers"
    order = 40
    title = "Inside the best file"

    def render(self, view: View) -> Content | None:
        trial = view.best_trial
        if trial is None or not (trial.invariants or trial.operators or trial.candidate.details or trial.notes):
            return None
        checks = [
            [_text(item.get(key)) for key in ("layer", "property", "asked", "found")] for item in trial.invariants
        ]
        remarks = [*trial.candidate.details, *trial.notes]
        values = {"trial": trial, "row": view.row(trial), "checks": checks, "remarks": remarks}
        return Content(draw("layers.html", **values))


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else clean(value, 80)
