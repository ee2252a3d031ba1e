"""``litetuner status``: print the progress of a run, also during the search."""

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
    from litetuner.search.config.units import format_seconds

    found = Run(run)
    if as_json:
        typer.echo(json.dumps(found.summary() | {"status": found.status()}, indent=1))
        return
    record = found.record()
    now = find_status(record)
    typer.echo(f"run       {record.folder.path}")
    typer.echo(f"search    {now.words}")
    if now.parallel_words:
        typer.echo(f"parallel  {now.parallel_words}")
    for name, seconds in now.time_use.nodes if now.time_use else ():
        typer.echo(f"node      {name}: {format_seconds(seconds)} of jobs")
    print_result(record)
