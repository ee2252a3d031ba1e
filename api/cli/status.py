"""``litetuner status``: the progress of a run, also during the search."""

import json
from typing import Annotated

import typer

from litetuner.cli.options import RUN

SHORT = "Print the progress of a run, its Pareto front and the best file."


def status(
    run: Annotated[str | None, typer.Argument(help=RUN, metavar="[RUN]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary and the progress as JSON.")] = False,
) -> None:
    """Print the progress of a run, its Pareto front and the best file so far."""
    from litetuner.reports.status import find_status
    from litetuner.reports.terminal.progress import print_result
    from litetuner.run import Run

    found = Run(run)
    if as_json:
        typer.echo(json.dumps(found.summary() | {"status": found.status()}, indent=1))
        return
    record = found.record()
    typer.echo(f"run       {record.folder.path}")
    typer.echo(f"search    {find_status(record).words}")
    print_result(record)
