"""How much each layer minds compression: the record of the search, in the model's order."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from litetuner.reports.text.formatting import clean

if TYPE_CHECKING:
    from litetuner.reports.model.view import View


@dataclasses.dataclass(frozen=True)
class Sensitive:
    """One layer. ``changes`` holds, by what was done to it alone (``int4``), the mean absolute change of the model's outputs
    in units of their standard deviation, ``None`` where it was not measured, which ``reason`` then explains."""

    name: str
    type: str
    parameters: int
    changes: dict[str, float | None]
    reason: str


def find_sensitivity(view: View) -> tuple[Sensitive, ...]:
    """One for each layer that was looked at; empty where the search has not done so yet."""
    record = view.record.folder.read("sensitivity") or {}
    layers = record.get("layers") or {}
    facts = {layer.name: layer for layer in view.record.model.layers}
    found = []
    for name in [*(name for name in facts if name in layers), *(name for name in layers if name not in facts)]:
        entry = layers[name]
        changes = entry.get("changes")
        if not isinstance(changes, dict):
            changes = {entry.get("precision") or "not measured": entry.get("change")}
        found.append(
            Sensitive(
                name=clean(name, 60),
                type=facts[name].type if name in facts else "",
                parameters=facts[name].parameters if name in facts else 0,
                changes={clean(key, 30): _number(value) for key, value in changes.items()},
                reason=clean(entry.get("reason") or "", 200),
            )
        )
    return tuple(found)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def shade(value: float | None, largest: float, smallest: float) -> float:
    """0 to 1 for a cell's colour, by the logarithm: changes span orders of magnitude."""
    if value is None or value <= 0 or largest <= 0:
        return 0.0
    low = max(smallest, largest / 1000)
    return 1.0 if largest <= low else min(1.0, max(0.06, math.log(max(value, low) / low) / math.log(largest / low)))
