"""``litetuner rebuild``: build a trial's file again from its record."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rebuild", short_help="Rebuild a trial's file and compare it with the record.")(rebuild)


def rebuild(
    record: Annotated[
        str,
        typer.Argument(help="A trial.json of a run or an export, or the folder that holds it.", metavar="TRIAL.json"),
    ],
    out: Annotated[
        str | None, typer.Option("--out", help="The file to write. [default: rebuilt/<name>]", metavar="FILE.tflite")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Where the baseline model is now.", metavar="FILE")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Where the data is now.", metavar="PATH")] = None,
    trust_model: Annotated[
        bool, typer.Option("--trust-model", help="Trust the model file: loading it may execute code.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace another file at --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> int:
    """Rebuild a trial's file and compare it with the record; exits with 1 if it is neither the same nor as good."""
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
