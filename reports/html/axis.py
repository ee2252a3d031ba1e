"""Tick marks of axes: round values and their labels."""

import math
from typing import Any

from litetuner.reports.model.sections.charts import Axis
from litetuner.search.config.units import format_bytes


def log_ticks(axis: Axis, low: float, high: float) -> dict[str, Any]:
    """Ticks of a logarithmic axis for plotly. Positions are logarithms to base 10."""
    marks = _log_marks(low, high)
    return {"tickvals": [math.log10(mark) for mark in marks], "ticktext": [_mark(axis, mark) for mark in marks]}


def tick_values(axis: Axis, shown: tuple[float, float]) -> list[tuple[float, str]]:
    """About five round values in a range, each with its label."""
    low, high = shown
    if axis.log:
        return [(mark, _mark(axis, mark)) for mark in _log_marks(low, high)]
    raw = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    first = math.ceil(low / step)
    return [(k * step, _mark(axis, round(k * step, 12))) for k in range(first, math.floor(high / step) + 1)]


def _log_marks(low: float, high: float) -> list[float]:
    """Ticks 1, 2, 5, 10, 20, ...; more of them in a short range, only powers of ten in a long one."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        marks = [m * 10.0**e for e in powers for m in steps if low <= m * 10.0**e <= high]
        if len(found) >= 4 or len(marks) > 8:
            break
        found = marks
    return found


def _mark(axis: Axis, value: float) -> str:
    return (format_bytes if "_bytes" in axis.measurement else "{:g}".format)(value).replace(".00", "").replace(".0", "")
