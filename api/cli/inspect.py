"""``litetuner inspect``: list which steps each layer of a model allows, before a search."""

import json
from typing import Annotated, Any

import typer
from typer import Argument, Option

from litetuner.cli.options import with_keys


@with_keys(
    *("metric", "task", "threshold", "preprocess", "label", "resize"),
    *("custom_objects", "trust_model", "time_budget", "max_job_memory"),
    metric="With --data: the metric of the labels. [default: accuracy]",
    task="With --data: how outputs and labels are read: binary, multiclass, multilabel, regression or raw.",
    threshold="With --data: output above which a label holds, such as 0.5.",
    preprocess="With --data: module:function(x).",
    label="With --data: column of a CSV or Parquet table that holds the labels.",
    resize="With --data: how images of a folder are resized, such as bilinear,crop.",
    custom_objects="Custom layers, module:dict.",
    trust_model="Trust the model file (it may execute code).",
    time_budget="Stop after this time, such as 5m. [default: 30m]",
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

    from litetuner.inspecting import inspect as look
    from litetuner.reports.terminal.inspection import inspection

    model_info, data_info = look(
        model, data, **{name: value for name, value in keys.items() if value not in (None, [])}
    )
    if as_json:
        found = {"schema_version": 1, "model": model_info.to_json()}
        typer.echo(json.dumps(found | ({} if data_info is None else {"data": data_info.to_json()}), indent=1))
        return
    Console(highlight=False).print(inspection(model_info, data_info), soft_wrap=False)
