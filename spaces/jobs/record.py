"""Frozen dataclasses that know their JSON: what crosses between processes, and what is stored."""

import dataclasses
import functools
import types
import typing
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class Record:
    """Base of dataclasses whose fields are JSON values, other records, tuples and dicts of them."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {field.name: encode(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """The record that ``to_json`` described; keys that are not fields are ignored."""
        return _make(cls, record)


def encode(value: Any) -> Any:
    """A value as JSON: objects with ``to_json`` by that, other dataclasses by their fields, NumPy scalars as numbers."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else value.item()


def decode(kind: Any, value: Any) -> Any:
    """The value of a type, from its JSON."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if value is None or kind is Any or origin is typing.Literal:
        return value
    if origin in (typing.Union, types.UnionType):
        kinds = [item for item in arguments if item is not type(None)]
        return decode(kinds[0], value) if len(kinds) == 1 else value
    if origin is tuple:
        parts = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(decode(item, part) for item, part in zip(parts, value, strict=True))
    if origin is dict:
        return {name: decode(arguments[1], item) for name, item in value.items()}
    if hasattr(kind, "from_json"):
        return kind.from_json(value)
    if dataclasses.is_dataclass(kind):
        return _make(kind, value)
    return value


def _make(kind: Any, record: dict[str, Any]) -> Any:
    return kind(**{name: decode(item, record[name]) for name, item in _fields(kind) if name in record})


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind) if field.init)
