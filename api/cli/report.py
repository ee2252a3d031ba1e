"""``litetuner report``: write the report of a run."""

from typing import Annotated

import typer

SHORT = "Write the report, table and summary of a run."


def report(run: Annotated[str, typer.Argument(help="The run folder.", metavar="RUN")]) -> None:
    """Write report.html, trials.csv and summary.json of a run, and print the path of the report."""
    from litetuner.run import Run

    typer.echo(Run(run).report())
