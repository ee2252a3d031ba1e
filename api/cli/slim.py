"""``litetuner slim``: remove unused data from any ``.tflite``."""

from pathlib import Path
from typing import Annotated

import typer


def slim(
    source: Annotated[Path, typer.Argument(help="The file to slim.", metavar="IN.tflite")],
    out: Annotated[Path, typer.Argument(help="The file to write.", metavar="OUT.tflite")],
    keep_names: Annotated[bool, typer.Option("--keep-names", help="Keep tensor names, for debugging.")] = False,
    share_bias_scales: Annotated[
        bool,
        typer.Option("--share-bias-scales", help="Also drop the scales of biases, which only accelerators may read."),
    ] = False,
) -> int:
    """Write a smaller file with bit-identical outputs; exits with 1, without a file, if that cannot be verified."""
    from litetuner.files import slim as slim_file
    from litetuner.search.config.units import format_bytes

    found = slim_file(source, out, keep_names=keep_names, share_bias_scales=share_bias_scales)
    if found.path is None:
        typer.echo(f"not slimmed: {found.reason}", err=True)
        return 1
    for name, (old, new) in (("file", found.file_bytes), ("compressed", found.compressed_bytes)):
        typer.echo(f"{name:10s} {format_bytes(old)} -> {format_bytes(new)} ({1 - new / old:.1%} smaller)")
    return 0
