"""``litetuner init``: write a first configuration for a model and its data."""

from pathlib import Path
from typing import Annotated, Any

import typer

from litetuner.cli.options import with_keys

METRIC = "Metric. [default: accuracy, or mae if the labels are not classes]"
SHORT = "Write a commented configuration for a model."


@with_keys(
    *("metric", "task", "threshold", "preprocess", "label", "resize", "loss", "fit"),
    *("target", "custom_objects", "trust_model", "max_job_memory"),
    metric=METRIC,
)
def init(
    model: Annotated[str, typer.Argument(help="FILE.keras, FILE.h5 or module:function.", metavar="MODEL")],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="FILE.npz, FILE.csv, a folder of images with one subfolder per class, or module:function.",
            metavar="DATA",
        ),
    ],
    out: Annotated[str, typer.Option("--out", help="The file to write.", metavar="FILE.toml")] = "litetuner.toml",
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    **keys: Any,
) -> None:
    """Look at a model and its data for a minute, and write a TOML file with every key, its help and suggested budgets."""
    from litetuner.live import Live
    from litetuner.tuning import init as start

    given = {name: value for name, value in keys.items() if value not in (None, [])}
    with Live() as live:
        path, said = start(model, data, out=out, force=force, listener=live, **given)
    if said:
        typer.echo(f"warning: {said}", err=True)
    typer.echo(Path(path))
    typer.echo(f"next: litetuner search {path}", err=True)
