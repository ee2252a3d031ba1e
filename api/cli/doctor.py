"""``litetuner doctor``: does this machine have what a search needs?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Annotated

import typer

FREE_BYTES = 2_000_000_000
IMPORTS = {
    "tensorflow": "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1'; import tensorflow, tf_keras",
    "tensorflow-model-optimization": "from litetuner.spaces import tf; tf.load(); import tensorflow_model_optimization",
    "ai-edge-litert": "import ai_edge_litert.interpreter",
    "ai-edge-quantizer": "import ai_edge_quantizer",
    "optuna": "import optuna, sqlite3",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> int:
    """Check libraries, disk and machine, and say what to do about what is wrong; exits with 3 if a search cannot run."""
    from litetuner.objectives.environment import environment, host_warnings
    from litetuner.search.units import format_bytes

    found = environment()
    problems = []
    for name, code in IMPORTS.items():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
            problems.append(
                f"{name} cannot be imported: {last[:200]}. Install it again: pip install --force-reinstall {name}"
            )
    free = shutil.disk_usage(".").free
    warnings = host_warnings()
    if free < FREE_BYTES:
        warnings.append(
            f"Only {format_bytes(free)} are free here: a run keeps checkpoints and files. Choose another --out."
        )
    if as_json:
        typer.echo(
            json.dumps(
                {"schema_version": 1, "environment": found, "problems": problems, "warnings": warnings}, indent=1
            )
        )
    else:
        typer.echo(
            f"{found['cpu']}, {found['usable_cores']} of {found['cores']} cores, {format_bytes(found['memory_bytes'])}"
        )
        typer.echo(", ".join(f"{name} {version or 'MISSING'}" for name, version in found["packages"].items()))
        for warning in warnings:
            typer.echo(f"warning: {warning}")
        for problem in problems:
            typer.echo(f"problem: {problem}")
        if not problems:
            typer.echo("A search can run here.")
    return 3 if problems else 0
