"""``litetuner inspect``: what can be done to each layer of a model, before a search."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated

import typer
from typer import Argument, Option


def inspect(
    model: Annotated[str, Argument(help="FILE.keras, FILE.h5, SavedModel or module:function.", metavar="MODEL")],
    data: Annotated[
        str | None, Option("--data", help="Data that the rebuilt model is checked on, as for search.")
    ] = None,
    metric: Annotated[str, Option("--metric", help="With --data: the metric of the labels.")] = "accuracy",
    preprocess: Annotated[str | None, Option("--preprocess", help="With --data: module:function(x).")] = None,
    custom_objects: Annotated[str | None, Option("--custom-objects", help="Custom layers, module:dict.")] = None,
    trust_model: Annotated[bool, Option("--trust-model", help="Trust the model file (it may execute code).")] = False,
    as_json: Annotated[bool, Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Print type, parameters and MACs of each layer, and which steps can be applied to it, or why not."""
    from rich.console import Console

    from litetuner.objectives.scoring.scorer import check_metric_name
    from litetuner.reports.terminal.inspection import inspection
    from litetuner.spaces.errors import HostError, from_json
    from litetuner.spaces.info import DataInfo, ModelInfo

    check_metric_name(metric)
    request = {"model": model, "trust": trust_model, "custom_objects": custom_objects}
    request |= {"data": data, "preprocess": preprocess, "metric": metric}
    # TensorFlow stays in a process of its own, as in a search.
    command = [sys.executable, "-m", "litetuner.inspecting", json.dumps(request)]
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
    known = DataInfo.from_json(answer["data"]) if "data" in answer else None
    console = Console(highlight=False)
    console.print(inspection(ModelInfo.from_json(answer["model"]), known), soft_wrap=False)
