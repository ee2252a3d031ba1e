"""``litetuner apply``: build one known recipe on a new version of the model."""

import json
from typing import Annotated, Any

import typer
from typer import Argument, Option

SHORT = "Build one recipe of a run on a retrained model."


def apply(
    run: Annotated[str, Argument(help="A run, or one of its trials. [default: its best trial]", metavar="RUN[:TRIAL]")],
    model: Annotated[str, Option("--model", help="The new version of the model.", metavar="MODEL")],
    data: Annotated[str | None, Option("--data", help="The data. [default: those of the run]", metavar="DATA")] = None,
    out: Annotated[str | None, Option("--out", help="The new run folder. [default: runs/RUN-TRIAL-applied]")] = None,
    trust: Annotated[
        bool, Option("--trust", help="Trust model file and named functions: they may execute code.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Build a run's recipe on a retrained model, check, score and time it; exits with 1 if it exceeds the budgets."""
    from litetuner.reports.terminal.progress import print_result
    from litetuner.tuning import apply as apply_recipe

    keys: dict[str, Any] = {} if out is None else {"out": out}
    found = apply_recipe(run, model, data, trust=trust, **keys)
    if as_json:
        typer.echo(json.dumps(found.summary(), indent=1))
    else:
        print_result(found.record())
    best = found.best()
    return 0 if best is not None and best["trial"] != 0 else 1
