"""``litetuner compare``: two runs of one model, their fronts over each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", short_help="Compare two runs: fronts, hypervolumes, the best of each.")(compare)


def compare(
    first: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    second: Annotated[str, typer.Argument(help="Another one, of the same model and data.", metavar="RUN")],
    max_size: Annotated[
        str | None, typer.Option("--max-size", help="Budget: bytes of the file, such as 300kB.")
    ] = None,
    max_compressed_size: Annotated[
        str | None, typer.Option("--max-compressed-size", help="Budget: compressed bytes, such as 60kB.")
    ] = None,
    max_latency: Annotated[
        list[str] | None, typer.Option("--max-latency", help="Budget: latency, such as 2ms or host=2ms.")
    ] = None,
    max_drop: Annotated[str | None, typer.Option("--max-drop", help="Budget: loss of the metric, such as 1%.")] = None,
    min_metric: Annotated[
        float | None, typer.Option("--min-metric", help="Budget: the metric must be at least this good.")
    ] = None,
    out: Annotated[str, typer.Option("--out", help="The page to write.", metavar="FILE.html")] = "comparison.html",
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two runs under the same budgets (default: the first run's): fronts, hypervolumes, the best of each."""
    from rich.console import Console

    from litetuner.reports.terminal.comparison import comparison_table
    from litetuner.run import Run

    budgets = {
        "max_size": max_size,
        "max_compressed_size": max_compressed_size,
        "max_latency": tuple(max_latency or ()),
        "max_drop": max_drop,
        "min_metric": min_metric,
    }
    found = Run(first).compare(second, out=Path(out), **budgets)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
        return
    console = Console(highlight=False)
    console.print(comparison_table(found))
    console.print(f"page  {out}", markup=False, soft_wrap=True)
