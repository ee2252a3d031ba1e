"""How much each layer minds compression, as a heat map."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.sensitivity import shade
from litetuner.reports.model.view import View


class LayersSection(Section):
    name = "layers"
    order = 30
    title = "Sensitivity by layer"

    def render(self, view: View) -> Content | None:
        layers = view.sensitivity
        if not layers:
            return None
        columns = list(dict.fromkeys(name for layer in layers for name in layer.changes))
        known = [value for layer in layers for value in layer.changes.values() if value]
        largest, smallest = max(known, default=0.0), min(known, default=0.0)
        lines = [
            (layer, [(layer.changes.get(name), shade(layer.changes.get(name), largest, smallest)) for name in columns])
            for layer in layers
        ]
        return Content(draw("sensitivity.html", view=view, columns=columns, lines=lines))
