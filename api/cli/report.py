"""``litetuner report``: write the report of a run."""

from typing import Annotated

import typer

from litetuner.cli.options import RUN

SHORT = "Write the report, table and summary of a run."


def report(run: Annotated[str | None, typer.Argument(help=RUN, metavar="[RUN]")] = None) -> None:
    """Write report.html, trials.csv and summary.json of a run, and print the path of the report."""
    from litetuner.run import Run

    typer.echo(Run(run).report())
