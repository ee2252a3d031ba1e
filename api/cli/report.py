"""``litetuner report``: write the report of a run again."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", short_help="Write a run's report, table and summary again.")(report)


def report(run: Annotated[str, typer.Argument(help="The run folder.", metavar="RUN")]) -> None:
    """Write report.html, trials.csv and summary.json of a run, and print where the report is."""
    from litetuner.run import Run

    typer.echo(Run(run).report())
