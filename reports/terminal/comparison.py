"""The comparison of two runs as a table for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from litetuner.reports.model.comparison import Comparison
from litetuner.reports.text.formatting import clean


def comparison_table(comparison: Comparison) -> RenderableType:
    """The comparison for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for side in comparison.sides:
        table.add_column(Text(side.name), overflow="fold", ratio=1)
    for what, *values in comparison.lines:
        table.add_row(Text(what), *(Text(value) for value in values), style="bold" if what == "best" else "")
    budgets = " ".join(comparison.budgets) or "no budgets"
    notes = [Text(note, style="yellow") for note in comparison.notes]
    return Group(Text(f"both under {clean(budgets, 300)}"), table, Text(comparison.verdict), *notes)
