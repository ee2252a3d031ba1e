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
    import zlib

    from litetuner.search.config.units import format_bytes
    from litetuner.spaces.errors import ConfigError
    from litetuner.spaces.store import write_atomic
    from litetuner.spaces.tflite.rewriting.slimming import slim as slim_file

    if not source.is_file():
        raise ConfigError(f"slim: {source} does not exist.")
    before = source.read_bytes()
    if before[4:8] != b"TFL3":
        raise ConfigError(f"slim: {source} is not a .tflite file. Give one, for example from `litetuner export`.")
    slimmed = slim_file(before, keep_names=keep_names, share_bias_scales=share_bias_scales)
    if not slimmed.applied:
        typer.echo(f"not slimmed: {slimmed.reason}", err=True)
        return 1
    write_atomic(out, slimmed.file)
    sizes = [(len(file), len(zlib.compress(file, 9))) for file in (before, slimmed.file)]
    for name, old, new in zip(("file", "compressed"), *sizes, strict=True):
        typer.echo(f"{name:9s} {format_bytes(old)} -> {format_bytes(new)} ({1 - new / old:.1%} smaller)")
    return 0
