"""``litetuner doctor``: check that this machine and the targets have everything that a search needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

if TYPE_CHECKING:
    from litetuner.diagnosis import Diagnosis

SIGNS = {"works": "ok     ", "note": "note   ", "fails": "PROBLEM"}


def doctor(
    config: Annotated[
        Path | None, Argument(help="A configuration whose targets are checked.", metavar="[CONFIG.toml]")
    ] = None,
    target: Annotated[
        list[str] | None, Option(help="A target to check: host, [NAME=]ssh://user@host[:port], [NAME=]adb[:serial].")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print the findings as JSON.")] = False,
) -> int:
    """Check libraries, disk, machine and targets, and say how to fix problems; exits with 3 if a search cannot run."""
    from litetuner.diagnosis import doctor as diagnose

    found = diagnose(config, targets=target or ())
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
    else:
        _print(found)
    return 0 if found.works else 3


def _print(found: Diagnosis) -> None:
    from litetuner.diagnosis import sentence
    from litetuner.search.config.units import format_bytes

    machine = found.environment
    cores = f"{machine['usable_cores']} of {machine['cores']} cores"
    typer.echo(f"{machine['cpu']}, {cores}, {format_bytes(machine['memory_bytes'])}")
    typer.echo(", ".join(f"{name} {version or 'MISSING'}" for name, version in machine["packages"].items()))
    for name, findings in found.targets.items():
        typer.echo(f"target {name}")
        for finding in findings:
            typer.echo(f"  {SIGNS[finding.status]} {sentence(finding)}")
    for warning in found.warnings:
        typer.echo(f"warning: {warning}")
    for problem in found.problems:
        typer.echo(f"problem: {problem}")
    if found.works:
        typer.echo("A search can run here." if not found.targets else "A search can run here and on these targets.")
