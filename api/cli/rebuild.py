"""``litetuner rebuild``: make a trial's file again from its record."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rebuild", short_help="Make a trial's file again and compare it.")(rebuild)


def rebuild(
    record: Annotated[
        str, typer.Argument(help="A trial.json of a run or of an export, or its folder.", metavar="TRIAL.json")
    ],
    out: Annotated[
        str | None, typer.Option("--out", help="The file to write. [default: rebuilt/<name>]", metavar="FILE.tflite")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Where the original model lies now.", metavar="FILE")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Where the data lie now.", metavar="PATH")] = None,
    trust_model: Annotated[
        bool, typer.Option("--trust-model", help="You vouch for the model file: code inside it may run.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace another file at --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was compared as JSON.")] = False,
) -> int:
    """Make a trial's file again and compare it with the record; exits with 1 where it is not the same or not as good."""
    from litetuner.live import Live
    from litetuner.reports.terminal.rebuild import agreement_lines, to_json
    from litetuner.run import rebuild as again

    with Live() as live:
        found = again(record, out, model=model, data=data, trust_model=trust_model, force=force, listener=live)
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=1))
    else:
        typer.echo(f"file     {found.file}")
        for line in agreement_lines(found):
            typer.echo(line)
    return 0 if found.agrees else 1
