"""``litetuner init``: a first configuration, fitted to a model and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", short_help="Write a commented configuration for a model.")(init)


def init(
    model: Annotated[str, typer.Argument(help="FILE.keras, FILE.h5 or module:function.", metavar="MODEL")],
    data: Annotated[
        str,
        typer.Option(
            "--data", help="FILE.npz, a folder of class folders of images, or module:function.", metavar="DATA"
        ),
    ],
    out: Annotated[str, typer.Option("--out", help="The file to write.", metavar="FILE.toml")] = "litetuner.toml",
    metric: Annotated[
        str | None, typer.Option("--metric", help="The metric. [default: accuracy, or mae where labels are quantities]")
    ] = None,
    preprocess: Annotated[
        str | None, typer.Option("--preprocess", help="Preprocessing that the model expects: module:function(x).")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Where latency is measured. [default: host]")
    ] = None,
    trust_model: Annotated[bool, typer.Option("--trust-model", help="You vouch for the model file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Look at a model and its data for a minute, and write a TOML with every key, its help and suggested budgets."""
    from litetuner.live import Live
    from litetuner.run import init as start

    with Live() as live:
        path, said = start(
            model,
            data,
            out=out,
            metric=metric,
            preprocess=preprocess,
            target=tuple(target or ()) or None,
            trust_model=trust_model or None,
            force=force,
            listener=live,
        )
    if said:
        typer.echo(f"warning: {said}", err=True)
    typer.echo(Path(path))
    typer.echo(f"next: litetuner search {path}", err=True)
