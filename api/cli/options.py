"""Command-line options made from the keys of the configuration, with their types and help texts."""

import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Optional, TypeVar

import typer

RUN = "The run folder. [default: the newest one in runs/]"
Command = TypeVar("Command", bound=Callable[..., Any])
KEYWORD, REST = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD


def with_keys(*names: str, more: Iterable[inspect.Parameter] = (), **texts: str) -> Callable[[Command], Command]:
    """Add an option for each configuration field in ``names`` (default: all fields) to a command that takes ``**keys``.

    ``more`` are further options, which the command also receives in ``keys``. ``texts`` replace help texts of the
    configuration.
    """
    from litetuner.search.config.config import keys

    def add(command: Command) -> Command:
        own = [part for part in inspect.signature(command, eval_str=True).parameters.values() if part.kind is not REST]
        options = [_option(key, name, texts.get(name)) for key, name in keys().items() if not names or name in names]
        parameters = [*(part.replace(kind=KEYWORD) for part in own), *more, *options]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {part.name: part.annotation for part in parameters}
        return command

    return add


def _option(key: str, name: str, text: str | None) -> inspect.Parameter:
    from litetuner.search.config.config import Config

    field = Config.model_fields[name]
    types = _plain_types(field.annotation)
    flag, kind, shown = f"--{key}", str, "TEXT"
    if field.annotation is bool:
        # With --no-KEY, the command line can undo a switch that is set in the TOML file.
        flag, kind, shown = (f"--{key}/--no-{key}", bool, None)  # type: ignore[assignment]
    elif tuple in types:
        kind, shown = list[str], "TEXT"  # type: ignore[assignment]
    elif int in types:
        kind, shown = int, "N"  # type: ignore[assignment]
    elif float in types:
        kind, shown = float, "X"  # type: ignore[assignment]
    default = _default(field.default)
    text = text or (field.description or "") + (f" [default: {default}]" if default else "")
    values = [value for value in typing.get_args(field.annotation) if isinstance(value, str)]  # the values of a Literal
    known = values.copy if values else None
    option = typer.Option(flag, help=text, show_default=False, metavar=shown, autocompletion=known)
    return inspect.Parameter(name, KEYWORD, default=None, annotation=Annotated[Optional[kind], option])  # noqa: UP045


def _plain_types(annotation: Any) -> set[Any]:
    """The types that an annotation contains, such as ``{int, NoneType}``."""
    parts = set(typing.get_args(annotation)) | {typing.get_origin(annotation) or annotation}
    return parts.union(*(_plain_types(part) for part in typing.get_args(annotation) if not isinstance(part, str)))


def _default(value: Any) -> str:
    if value in (None, (), False) or "Undefined" in str(value):
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def option(name: str, kind: Any, text: str, metavar: str | None = None, default: Any = None) -> inspect.Parameter:
    """An option for a command that takes ``**keys``; ``name`` is its name in ``keys``, ``text`` its help."""
    declared = typer.Option(f"--{name.replace('_', '-')}", help=text, metavar=metavar)
    return inspect.Parameter(name, KEYWORD, default=default, annotation=Annotated[kind, declared])
