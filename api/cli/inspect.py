"""``litetuner inspect``: what can be done to each layer of a model, before a search."""

from __future__ import annotations

import json
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

    from litetuner.inspecting import inspect as look
    from litetuner.reports.terminal.inspection import inspection

    keys = {"metric": metric, "preprocess": preprocess, "custom_objects": custom_objects, "trust_model": trust_model}
    model_info, data_info = look(model, data, **keys)  # type: ignore[arg-type]
    if as_json:
        found = {"schema_version": 1, "model": model_info.to_json()}
        typer.echo(json.dumps(found | ({} if data_info is None else {"data": data_info.to_json()}), indent=1))
        return
    Console(highlight=False).print(inspection(model_info, data_info), soft_wrap=False)
