"""``litetuner rebuild``: build a trial's file again from its record."""

import json
from typing import Annotated

import typer
from typer import Argument, Option

SHORT = "Rebuild a trial's file and compare it with the record."


def rebuild(
    record: Annotated[
        str, Argument(help="A trial.json of a run or an export, or the folder that holds it.", metavar="TRIAL.json")
    ],
    out: Annotated[
        str | None, Option("--out", help="The file to write. [default: rebuilt/<name>]", metavar="FILE.tflite")
    ] = None,
    model: Annotated[str | None, Option("--model", help="Where the baseline model is now.", metavar="FILE")] = None,
    data: Annotated[str | None, Option("--data", help="Where the data is now.", metavar="PATH")] = None,
    trust: Annotated[
        bool, Option("--trust", help="Trust model file and named functions: they may execute code.")
    ] = False,
    force: Annotated[bool, Option("--force", help="Replace another file at --out.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print the comparison as JSON.")] = False,
) -> int:
    """Rebuild a trial's file and compare it with the record; exits with 1 if it is neither identical nor equivalent."""
    from litetuner.live import Live
    from litetuner.rebuilding import rebuild as again
    from litetuner.reports.terminal.rebuild import agreement_lines, to_json

    with Live() as live:
        found = again(record, out, model=model, data=data, trust=trust, force=force, listener=live)
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=1))
    else:
        typer.echo("\n".join((f"file     {found.file}", *agreement_lines(found))))
    return 0 if found.agrees else 1
