"""Section "Layer sensitivity to quantization": a heat map."""

import math

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.report import Report


class LayersSection(Section):
    name = "layers"
    order = 30
    title = "Layer sensitivity to quantization"

    def render(self, report: Report) -> Content | None:
        layers = report.sensitivity
        if not layers:
            return None
        columns = list(dict.fromkeys(name for layer in layers for name in layer.changes))
        known = [value for layer in layers for value in layer.changes.values() if value]
        largest, smallest = max(known, default=0.0), min(known, default=0.0)
        lines = [
            (layer, [(layer.changes.get(name), _shade(layer.changes.get(name), largest, smallest)) for name in columns])
            for layer in layers
        ]
        return Content(draw("sensitivity.html", columns=columns, lines=lines))


def _shade(value: float | None, largest: float, smallest: float) -> float:
    """The color of a cell from 0 to 1, on a logarithmic scale because changes span orders of magnitude."""
    if value is None or value <= 0 or largest <= 0:
        return 0.0
    low = max(smallest, largest / 1000)
    return 1.0 if largest <= low else min(1.0, max(0.06, math.log(max(value, low) / low) / math.log(largest / low)))
