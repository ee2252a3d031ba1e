"""``litetuner inspect``: what can be done to each layer of a model, before a search."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import typer
from typer import Argument, Option

from litetuner.cli.options import with_keys


@with_keys(
    *("metric", "task", "threshold", "preprocess", "custom_objects", "trust_model"),
    metric="With --data: the metric of the labels. [default: accuracy]",
    task="With --data: how outputs and labels are read: binary, multiclass, multilabel, regression or raw.",
    threshold="With --data: output above which a label holds, such as 0.5.",
    preprocess="With --data: module:function(x).",
    custom_objects="Custom layers, module:dict.",
    trust_model="Trust the model file (it may execute code).",
)
def inspect(
    model: Annotated[str, Argument(help="FILE.keras, FILE.h5, SavedModel or module:function.", metavar="MODEL")],
    data: Annotated[
        str | None, Option("--data", help="Data that the rebuilt model is checked on, as for search.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print the result as JSON.")] = False,
    **keys: Any,
) -> None:
    """Print type, parameters and MACs of each layer, and which steps can be applied to it, or why not."""
    from rich.console import Console

    from litetuner.objectives.scoring.scorer import check_metric_name
    from litetuner.reports.terminal.inspection import inspection
    from litetuner.spaces.errors import HostError, from_json
    from litetuner.spaces.info import DataInfo, ModelInfo

    metric = keys.pop("metric") or "accuracy"
    check_metric_name(metric)
    request = {"model": model, "data": data, "metric": metric, "trust": bool(keys.pop("trust_model"))} | keys
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
