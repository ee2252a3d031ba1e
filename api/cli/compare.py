"""``litetuner compare``: compare two runs of one model, with both Pareto fronts in one chart."""

import json
import typing
from pathlib import Path
from typing import Annotated, Any

import typer

from litetuner.cli.options import with_keys
from litetuner.keys import BudgetKeys

SHORT = "Compare two runs: fronts, hypervolumes, best files."


@with_keys(*typing.get_type_hints(BudgetKeys))
def compare(
    first: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    second: Annotated[str, typer.Argument(help="Another run folder of the same model and data.", metavar="RUN")],
    out: Annotated[str, typer.Option("--out", help="The page to write.", metavar="FILE.html")] = "comparison.html",
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    **budgets: Any,
) -> None:
    """Compare two runs under the same budgets (default: those of the first run): fronts, hypervolumes, best files."""
    from rich.console import Console

    from litetuner.reports.terminal.tables import comparison_table
    from litetuner.run import Run

    given = budgets | {"max_latency": tuple(budgets["max_latency"] or ())}
    found = Run(first).compare(second, out=Path(out), **given)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
        return
    console = Console(highlight=False)
    console.print(comparison_table(found))
    console.print(f"page  {out}", markup=False, soft_wrap=True)
