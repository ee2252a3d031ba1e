"""``litetuner search``: its flags are the keys of the configuration, made from them."""

from __future__ import annotations

import inspect
import json
import sys
import typing
from pathlib import Path
from typing import Annotated, Any, Optional

import typer


def register(app: typer.Typer) -> None:
    """Add the command, with a flag for every key."""
    search.__signature__ = _signature()  # type: ignore[attr-defined]
    app.command("search", short_help="Search compressions of a model within budgets.", help=search.__doc__)(search)


def search(**flags: Any) -> int:
    """Search compressions of a model within budgets; the same command again goes on with the same run."""
    from litetuner.search.config.config import make_config, read_toml

    toml = flags.pop("config", None)
    values = (read_toml(Path(toml)) if toml else {}) | {
        name: value for name, value in flags.items() if value not in (None, [])
    }
    config = make_config(values, where=toml or "search")
    return conduct(config)


def conduct(config: Any) -> int:
    """Run a search with the live view, write the report, print the result. Gives the exit code."""
    from litetuner.cli import INTERRUPTED
    from litetuner.live import Live
    from litetuner.reporting import Reporting
    from litetuner.reports.files.summary import summary
    from litetuner.reports.html.report import write_report
    from litetuner.reports.terminal.progress import print_result
    from litetuner.search.run import run_search

    with Live() as live:
        with Reporting(live) as reporting:
            outcome = run_search(config, reporting)
        live.doing("writing the report")
        write_report(outcome.record)
    if config.json_:
        json.dump(summary(outcome.record), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        print_result(outcome.record)
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if outcome.record.picks else 1


def _signature() -> inspect.Signature:
    from litetuner.search.config.config import Config, keys

    kinds = inspect.Parameter.KEYWORD_ONLY
    toml = Annotated[
        str | None, typer.Argument(help="A TOML file with the same keys; flags win.", metavar="[CONFIG.toml]")
    ]
    parameters = [inspect.Parameter("config", kinds, default=None, annotation=toml)]
    for key, name in keys().items():
        field = Config.model_fields[name]
        types = _plain_types(field.annotation)
        flag, kind, shown = f"--{key}", str, "TEXT"
        if field.annotation is bool:
            # A switch that the TOML sets can be taken back.
            flag, kind, shown = (f"--{key}/--no-{key}", bool, None)  # type: ignore[assignment]
        elif tuple in types:
            kind, shown = list[str], "TEXT"  # type: ignore[assignment]
        elif int in types:
            kind, shown = int, "N"  # type: ignore[assignment]
        elif float in types:
            kind, shown = float, "X"  # type: ignore[assignment]
        default = _default(field.default)
        help_text = (field.description or "") + (f" [default: {default}]" if default else "")
        values = [value for value in typing.get_args(field.annotation) if isinstance(value, str)]  # of a Literal
        option = typer.Option(
            flag, help=help_text, show_default=False, metavar=shown, autocompletion=values.copy if values else None
        )
        parameters.append(inspect.Parameter(name, kinds, default=None, annotation=Annotated[Optional[kind], option]))  # noqa: UP045
    search.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return inspect.Signature(parameters)


def _plain_types(annotation: Any) -> set[Any]:
    """The types that an annotation is made of, such as ``{int, NoneType}``."""
    parts = set(typing.get_args(annotation)) | {typing.get_origin(annotation) or annotation}
    return parts.union(*(_plain_types(part) for part in typing.get_args(annotation) if not isinstance(part, str)))


def _default(value: Any) -> str:
    if value in (None, (), False) or "Undefined" in str(value):
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)
