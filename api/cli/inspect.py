"""``litetuner inspect``: what can be done to each layer of a model, before anything is spent."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inspect")(inspect)


def inspect(
    model: Annotated[str, typer.Argument(help="FILE.keras, FILE.h5 or module:function.", metavar="MODEL")],
    trust_model: Annotated[bool, typer.Option("--trust-model", help="You vouch for the model file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Print each layer's type, size, and what can be done to it or why not."""
    from rich.console import Console

    from litetuner.reports.progress import layers_table
    from litetuner.spaces.errors import HostError, from_json
    from litetuner.spaces.facts import ModelFacts

    # TensorFlow stays in a process of its own, as in a search.
    command = [sys.executable, "-m", "litetuner.inspecting", model, "trust" if trust_model else ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise HostError(f"the model could not be inspected: {last}. Try `litetuner doctor`.") from None
    if "error" in answer:
        raise from_json(answer["error"])
    if as_json:
        typer.echo(json.dumps({"schema_version": 1} | answer, indent=1))
        return
    facts = ModelFacts.from_json(answer["model"])
    console = Console(highlight=False)
    console.print(
        f"{facts.name}: {facts.parameters:,} parameters, input {facts.input_shape[1:]} {facts.input_dtype}",
        markup=False,
    )
    if facts.bridge_refusal:
        console.print(f"only post-training techniques: {facts.bridge_refusal}", markup=False, style="yellow")
    console.print(layers_table(facts, len(facts.layers)))
    for layer in facts.layers:
        if layer.has_kernel:
            for technique, reason in layer.refusals.items():
                console.print(f"{layer.name}: no {technique}: {reason}", markup=False, style="dim", soft_wrap=True)
