"""``litetuner export``: export a trial's file."""

from typing import Annotated

import typer
from typer import Argument, Option

from litetuner.cli.options import RUN

SHORT = "Export a trial's file with record, model card and example."


def export(
    run: Annotated[str | None, Argument(help=RUN, metavar="[RUN]")] = None,
    out: Annotated[str, Option("--out", help="The folder to write to.", metavar="DIR")] = "exported",
    trial: Annotated[int | None, Option("--trial", help="Export the trial with this number.", metavar="N")] = None,
    pick: Annotated[
        str | None,
        Option(
            "--pick",
            help="best (default), accurate, balanced, smallest or fastest.",
            metavar="NAME",
            autocompletion=lambda: ["best", "accurate", "balanced", "smallest", "fastest"],
        ),
    ] = None,
    c_array: Annotated[
        bool, Option("--c-array", help="Also write the file as a C array, for TensorFlow Lite Micro.")
    ] = False,
    metadata: Annotated[
        bool, Option("--metadata", help="Store a short provenance in the file; this changes its sha256.")
    ] = False,
    force: Annotated[bool, Option("--force", help="Replace an export of another trial in DIR.")] = False,
) -> None:
    """Export a trial's .tflite with record, provenance, model card and example, and print the path of the .tflite."""
    from litetuner.run import Run

    typer.echo(Run(run).export(out, trial=trial, pick=pick, c_array=c_array, metadata=metadata, force=force))
