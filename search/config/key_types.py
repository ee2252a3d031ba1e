"""Types of configuration keys: the values that a key accepts, checked when the configuration is created."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pydantic

from litetuner.search.config.units import BYTES, SHARE, parse, parse_duration
from litetuner.spaces.errors import ConfigError

SHOWN = 200  # most characters of a wrong value in an error
LONGEST_NAME, LONGEST_PATH = 255, 4000  # in bytes, as on Linux


def _text(value: Any) -> Any:
    """Paths and numbers as text, so that ``max-size = 300`` in a TOML file gets the error about a missing unit."""
    return str(value) if isinstance(value, int | float | Path) and not isinstance(value, bool) else value


def _texts(value: Any) -> Any:
    """The same tuple of texts for ``"a,b"`` and ``["a", "b"]``."""
    if isinstance(value, bool):
        return value
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(part.strip() for item in items for part in str(item).split(",") if part.strip())


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be a number")
    return value


def _with_unit(read: Callable[[str, str], float], *, zero: bool = False) -> pydantic.AfterValidator:
    """Check that ``read`` accepts the text, and that its value is positive (or 0, if ``zero``); the text is kept."""

    def check(value: str, info: pydantic.ValidationInfo) -> str:
        key = (info.field_name or "").replace("_", "-")
        if read(value, key) <= 0 and not zero:
            raise ConfigError(f"{key}: must be positive (got {value}).")
        return value

    return pydantic.AfterValidator(check)


def _check_name(value: str, info: pydantic.ValidationInfo) -> str:
    """Check that every file system, log and record can store the name. Raises ``ConfigError`` if not."""
    key, shown = (info.field_name or "").replace("_", "-"), ascii(value[:80])
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ConfigError(f"{key}: {shown} has control characters, or is not UTF-8. Rename it.")
    if any(len(part.encode()) > LONGEST_NAME for part in value.split("/")) or len(value.encode()) > LONGEST_PATH:
        raise ConfigError(f"{key}: {shown}... is longer than the {LONGEST_NAME} bytes that a file's name may have.")
    return value


Text = Annotated[str, pydantic.BeforeValidator(_text), pydantic.AfterValidator(_check_name)]
Texts = Annotated[tuple[str, ...], pydantic.BeforeValidator(_texts)]
Integer = Annotated[int, pydantic.BeforeValidator(_no_switch), pydantic.Field(le=2**63 - 1)]  # TOML's largest integer
Number = Annotated[pydantic.FiniteFloat, pydantic.BeforeValidator(_no_switch)]
Size = Annotated[Text, _with_unit(lambda text, key: parse(text, BYTES, key))]
Duration = Annotated[Text, _with_unit(parse_duration)]
Share = Annotated[Text, _with_unit(lambda text, key: parse(text, SHARE, key), zero=True)]


def shown(value: Any) -> str:
    """A wrong value as text for an error message."""
    try:
        text = repr(value)
    except Exception:  # raised by the object's own repr, or by Python's for integers of more than 4,300 digits
        return f"{type(value).__name__} that cannot be shown"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def explain(item: Any) -> str:
    """The message for one validation error of pydantic."""
    key = ".".join(str(part) for part in item["loc"]).replace("_", "-")
    if item["type"] == "missing":
        return f"{key} is missing; give --{key} or set it in the TOML"
    return f"{key}: {item['msg'].removeprefix('Value error, ').lower()} (got {shown(item['input'])})"
