"""Options of a target: convert the texts of a URL query to values of dataclass fields."""

import math
import types
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from litetuner.spaces.errors import ConfigError, nearest

SWITCHES = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


def split_query(text: str) -> dict[str, str]:
    """``a=1&b=2`` as a dict. ``%XX`` is decoded as a byte; a plus sign stays a plus sign. Raises ``ConfigError``."""
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise ConfigError(f"target: {part!r} is not an option; write option=value, joined by &.")
        if key in found:
            raise ConfigError(f"target: the option {key!r} is given twice.")
        try:
            found[key] = urllib.parse.unquote(value, errors="strict")
        except UnicodeDecodeError as error:
            raise ConfigError(f"target: {value!r} is not UTF-8 after its % signs are decoded.") from error
    return found


def parse_options(owner: str, options: Mapping[str, str], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Convert texts to the types in ``kinds`` (name to type). Raises ``ConfigError`` for unknown names, bad values."""
    values = {}
    for name, text in options.items():
        if name not in kinds:
            known = ", ".join(kinds) or "none"
            raise ConfigError(f"{owner}: no option {name!r}{nearest(name, kinds) or '.'} Its options are {known}.")
        values[name] = READERS[_plain(kinds[name])](f"{owner}: {name}", text)
    return values


def check_path(what: str, path: str) -> None:
    """Raise ``ConfigError`` unless this is an absolute path of printable characters, at most 1000 of them."""
    if not path.startswith("/") or not path.isprintable() or len(path) > 1000:
        raise ConfigError(f"{what} must be an absolute path of printable characters, not {path[:80]!r}.")


def _plain(kind: Any) -> Any:
    """``X`` for the type ``X | None``; other types are unchanged."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(part for part in get_args(kind) if part is not type(None))
    return kind


def _read_switch(what: str, text: str) -> bool:
    if text not in SWITCHES:
        raise ConfigError(f"{what} must be on or off, not {text!r}.")
    return SWITCHES[text]


def _read_count(what: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigError(f"{what} must be a whole number, not {text!r}.")
    return int(text)


def _read_number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(f"{what} must be a number, not {text!r}.") from error
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{what} must be above 0, not {text!r}.")
    return value


def _read_text(what: str, text: str) -> str:
    if not text or not text.isprintable():
        raise ConfigError(f"{what} must be printable characters, not {text!r}.")
    return text


def _read_path(what: str, text: str) -> Path:
    check_path(what, text)
    return Path(text)


READERS: dict[Any, Callable[[str, str], Any]] = {
    bool: _read_switch,
    int: _read_count,
    float: _read_number,
    str: _read_text,
    Path: _read_path,
}
