"""``litetuner doctor``: check that this machine and the targets have everything that a search needs."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from litetuner.spaces.jobs.safe_path import python_command, python_environment

if TYPE_CHECKING:
    from litetuner.objectives.targets.target import Finding

FREE_BYTES = 2_000_000_000
IMPORTS = {
    "tensorflow": "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1'; import tensorflow, tf_keras",
    "tensorflow-model-optimization": "from litetuner.spaces import tf; tf.load(); import tensorflow_model_optimization",
    "ai-edge-litert": "import ai_edge_litert.interpreter",
    "litert-quantizer": "import litert_quantizer",
    "optuna": "import optuna, sqlite3",
}
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
    from litetuner.objectives.environment import environment, host_warnings
    from litetuner.objectives.targets.choice import find_target
    from litetuner.spaces.errors import ConfigError

    places = [find_target(text) for text in (*_configured(config), *(target or ()))]  # a wrong text is an error here
    names = [place.name for place in places]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"target: two are called {twice[0]!r}; rename one: NAME=...")
    found, problems, warnings = environment(), _imports(), [*host_warnings(), *_disk()]
    targets: dict[str, list[Finding]] = {place.name: place.target.check() for place in places}
    for name, findings in targets.items():
        problems += [f"{name}: {_sentence(finding)}" for finding in findings if finding.status == "fails"]
    if as_json:
        document = {"schema_version": 1, "environment": found, "problems": problems, "warnings": warnings}
        checked = {name: [dataclasses.asdict(finding) for finding in findings] for name, findings in targets.items()}
        typer.echo(json.dumps(document | {"targets": checked}, indent=1))
    else:
        _print(found, problems, warnings, targets)
    return 3 if problems else 0


def _configured(config: Path | None) -> tuple[str, ...]:
    """The targets of a configuration as written; its other keys may be incomplete."""
    from litetuner.spaces.errors import ConfigError

    if config is None:
        return ()
    import tomllib

    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {config}: {error}") from error
    asked = content.get("target", ["host"])
    asked = [asked] if isinstance(asked, str) else asked
    if not isinstance(asked, list) or not all(isinstance(text, str) for text in asked):
        wanted = 'a list of texts, such as target = ["host", "pi=ssh://user@pi.local"]'
        raise ConfigError(f"{config}: target must be {wanted}.")
    return tuple(asked)


def _imports() -> list[str]:
    """Libraries that cannot be imported, each in a process of its own."""
    problems = []
    for name, code in IMPORTS.items():
        how: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "env": python_environment()}
        done = subprocess.run(python_command("-c", code), **how)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
            remedy = f"Install it again: pip install --force-reinstall {name}"
            problems.append(f"{name} cannot be imported: {last[:200]}. {remedy}")
    return problems


def _disk() -> list[str]:
    from litetuner.search.config.units import format_bytes

    free = shutil.disk_usage(".").free
    if free >= FREE_BYTES:
        return []
    return [
        f"Only {format_bytes(free)} are free in this folder; a run stores checkpoints and files. Choose another --out."
    ]


def _sentence(finding: Finding) -> str:
    return f"{finding.about}: {finding.text}" + (f" -> {finding.remedy}" if finding.remedy else "")


def _print(found: dict[str, Any], problems: list[str], warnings: list[str], targets: dict[str, list[Finding]]) -> None:
    from litetuner.search.config.units import format_bytes

    cores = f"{found['usable_cores']} of {found['cores']} cores"
    typer.echo(f"{found['cpu']}, {cores}, {format_bytes(found['memory_bytes'])}")
    typer.echo(", ".join(f"{name} {version or 'MISSING'}" for name, version in found["packages"].items()))
    for name, findings in targets.items():
        typer.echo(f"target {name}")
        for finding in findings:
            typer.echo(f"  {SIGNS[finding.status]} {_sentence(finding)}")
    for warning in warnings:
        typer.echo(f"warning: {warning}")
    for problem in problems:
        typer.echo(f"problem: {problem}")
    if not problems:
        typer.echo("A search can run here." if not targets else "A search can run here and on these targets.")
