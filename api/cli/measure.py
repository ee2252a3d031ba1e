"""``litetuner measure``: the latency of any ``.tflite`` on this machine, by the protocol that a search uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("measure")(measure)


def measure(
    file: Annotated[Path, typer.Argument(help="The file to time.", metavar="FILE.tflite")],
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Another file, timed in turns with it; gives a ratio.", metavar="FILE.tflite"),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", help="Threads of the runtime.", metavar="N", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
) -> None:
    """Time a file in a fresh process on one core, and print its latency with its interval."""
    from litetuner.objectives.targets.host import Host
    from litetuner.search.units import format_us
    from litetuner.spaces.errors import ConfigError

    for path in (file, baseline):
        if path is not None and not path.is_file():
            raise ConfigError(f"measure: {path} does not exist.")
        if path is not None and path.read_bytes()[4:8] != b"TFL3":
            raise ConfigError(f"measure: {path} is no .tflite file. Give one, such as `litetuner export` writes.")
    found = Host().measure(file, baseline, threads)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    latency = found["latency_us"]
    low, high = latency["interval"]
    typer.echo(f"{format_us(latency['value'])}  (95 % interval {format_us(low)} to {format_us(high)})")
    typer.echo(f"p50 {format_us(latency['p50'])}, p90 {format_us(latency['p90'])}, p99 {format_us(latency['p99'])}")
    if found["ratio"]:
        typer.echo(f"{found['ratio']['value']:.3f} times as fast as {baseline}")
    for reason in found["instability"]:
        typer.echo(f"unsteady: {reason}", err=True)
