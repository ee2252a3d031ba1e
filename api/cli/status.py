"""``litetuner status``: how far a run is, also while it is searching."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    run: Annotated[str, typer.Argument(help="The run folder.", metavar="RUN")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Print the front and the best file of a run so far."""
    from litetuner.reports.progress import print_result
    from litetuner.run import Run

    found = Run(run)
    if as_json:
        typer.echo(json.dumps(found.summary(), indent=1))
    else:
        print_result(found.record())
