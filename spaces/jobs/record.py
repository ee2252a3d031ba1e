"""Frozen dataclasses with a JSON form, which is sent between processes and stored in files.

A record that is read may come from an untrusted source. Therefore every value is checked against the annotation of its
field. All of these checks are in this module.
"""

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

LARGEST = 2**64  # limit of integers: computing with or printing very long integers could take very long
DEPTH = 40  # maximum nesting of values of any type, which are printed, copied and compared recursively
# Types whose values are always valid if the field has this type: only other values are checked one by one.
SOUND: frozenset[type] = frozenset({float, str, bool, type(None)})
NUMBERS = {bool: (bool, "true or false"), int: (int, "a whole number"), float: (float, "a number"), str: (str, "text")}


class RecordError(ValueError):
    """A value in a record is missing or has the wrong type.

    Example of a message: ``measurements.metric.value is "x", and must be a number``.
    """

    def __init__(self, what: str, *path: str) -> None:
        super().__init__(f"{'.'.join(path)} {what}" if path else f"it {what}")
        self.what, self.path = what, path

    def within(self, name: object) -> Self:
        return type(self)(self.what, str(name)[:60], *self.path)


@dataclasses.dataclass(frozen=True)
class Record:
    """Base class of dataclasses whose fields are JSON values, other records, or tuples and dicts of these."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {field.name: encode(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Create the record from the output of ``to_json``; unknown keys are ignored. Raises ``RecordError``."""
        made: Self = _make(cls, record)
        return made


def encode(value: Any) -> Any:
    """A value as JSON values: ``to_json()`` if the object has it, dataclasses by field, NumPy scalars as numbers."""
    if value is None or isinstance(value, str | int | float):
        return value
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value.item()


def decode(kind: Any, value: Any) -> Any:
    """Convert a JSON value to the type ``kind``. Raises ``RecordError`` if it has another type."""
    return _decoder(kind)(value)


@functools.cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    """The function that decodes one type. It is cached: a run with thousands of trials has millions of values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in NUMBERS:
        return functools.partial(_number if kind in (int, float) else _simple, *NUMBERS[kind])
    if origin is typing.Annotated and typing.is_typeddict(kind.__metadata__[0]):
        return _decoder(kind.__metadata__[0])  # a dict of which only some keys are checked
    if typing.is_typeddict(kind):
        return functools.partial(_open, kind)
    if origin is typing.Literal:
        return functools.partial(_one_of, arguments)
    if origin in (typing.Union, types.UnionType):
        kinds = tuple(_decoder(item) for item in arguments if item is not type(None))
        return functools.partial(_first, kinds, type(None) in arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        sound = frozenset.intersection(*map(_sound, arguments)) if arguments else frozenset()
        return functools.partial(_tuple, tuple(map(_decoder, arguments)), sound)
    if origin in (tuple, list, Sequence):
        kept = list if origin is list else tuple
        return functools.partial(_items, kept, _decoder(arguments[0]), _sound(arguments[0]))
    if origin in (dict, Mapping):
        return functools.partial(_named, _decoder(arguments[1]), _sound(arguments[1]))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return functools.partial(_member, kind)
    if hasattr(kind, "from_json"):
        known: Callable[[Any], Any] = kind.from_json
        return known
    return functools.partial(_make, kind) if dataclasses.is_dataclass(kind) else _anything


@functools.cache
def _sound(kind: Any) -> frozenset[type]:
    """The types whose values need no further check. Most values of a record have one of them."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return frozenset().union(*map(_sound, typing.get_args(kind)))
    return SOUND if kind is Any else SOUND & {kind}


def _wrong(value: Any, wanted: str) -> RecordError:
    text = "a huge number" if isinstance(value, int) and abs(value) >= LARGEST else ascii(value)[:60]
    return RecordError(f"is {text}, and must be {wanted}")


def _simple(kind: type, wanted: str, value: Any) -> Any:
    if not isinstance(value, kind):
        raise _wrong(value, wanted)
    return value


def _number(kind: type, wanted: str, value: Any) -> Any:
    """An integer is valid for a float field. It stays an integer, so that a decoded value is equal to its JSON."""
    if type(value) is not kind and type(value) is not int:
        raise _wrong(value, wanted)
    if type(value) is int and abs(value) >= LARGEST:
        raise _wrong(value, "a smaller number")
    return value


def _one_of(known: Sequence[Any], value: Any) -> Any:
    if not any(type(item) is type(value) and item == value for item in known):
        raise _wrong(value, " or ".join(map(str, known)))
    return value


def _member(kind: type[enum.Enum], value: Any) -> enum.Enum:
    try:
        return kind(value)
    except (ValueError, TypeError):
        raise _wrong(value, " or ".join(str(item.value) for item in kind)) from None


def _first(kinds: Sequence[Callable[[Any], Any]], optional: bool, value: Any) -> Any:
    if value is None and optional:
        return None
    for decoder in kinds[:-1]:
        try:
            return decoder(value)
        except RecordError:
            continue
    return kinds[-1](value)


def _items(kind: type, decoder: Callable[[Any], Any], sound: frozenset[type], value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(value, "a list")
    if sound.issuperset(map(type, value)):
        return kind(value)
    return kind(_tuple((decoder,) * len(value), frozenset(), value))


def _tuple(decoders: Sequence[Callable[[Any], Any]], sound: frozenset[type], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != len(decoders):
        raise _wrong(value, f"a list of {len(decoders)}")
    if sound.issuperset(map(type, value)):
        return tuple(value)
    found = []
    for place, (decoder, item) in enumerate(zip(decoders, value, strict=True)):
        try:
            found.append(decoder(item))
        except RecordError as error:
            raise error.within(place) from None
    return tuple(found)


def _named(decoder: Callable[[Any], Any], sound: frozenset[type], value: Any) -> dict[str, Any]:
    found = dict(_simple(dict, "an object", value))
    for name, item in value.items():
        if type(item) not in sound:
            try:
                found[name] = decoder(item)
            except RecordError as error:
                raise error.within(name) from None
    return found


def _open(kind: Any, value: Any) -> dict[str, Any]:
    """Check the keys of a ``TypedDict`` against its types; other keys may have any JSON value."""
    found = dict(_simple(dict, "an object", value))
    for item in value.values():
        if type(item) not in SOUND:
            _anything(item, 1)
    for name, needed, decoder, sound in _keys(kind):
        if name in value:
            if type(value[name]) not in sound:
                try:
                    found[name] = decoder(value[name])
                except RecordError as error:
                    raise error.within(name) from None
        elif needed:
            raise RecordError("is missing", name)
    return found


def _anything(value: Any, depth: int = 0) -> Any:
    if type(value) is int and abs(value) >= LARGEST:
        raise _wrong(value, "a smaller number")
    if isinstance(value, dict | list):
        if depth > DEPTH:
            raise RecordError(f"is nested more than {DEPTH} deep")
        for item in value.values() if isinstance(value, dict) else value:
            if type(item) not in SOUND:
                _anything(item, depth + 1)
    return value


def _make(kind: Any, record: Any) -> Any:
    found = {}
    _simple(dict, "an object", record)
    for name, needed, decoder, sound in _fields(kind):
        if name in record:
            value = record[name]
            if type(value) not in sound:
                try:
                    value = decoder(value)
                except RecordError as error:
                    raise error.within(name) from None
            found[name] = value
        elif needed:
            raise RecordError("is missing", name)
    return kind(**found)


# The name of a field, if it is required, its decoder, and the types that need no check (``_sound``).
Field = tuple[str, bool, Callable[[Any], Any], frozenset[type]]


@functools.cache
def _fields(kind: Any) -> tuple[Field, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(
        (
            field.name,
            field.default is field.default_factory is dataclasses.MISSING,
            _decoder(hints[field.name]),
            _sound(hints[field.name]),
        )
        for field in dataclasses.fields(kind)
        if field.init
    )


@functools.cache
def _keys(kind: Any) -> tuple[Field, ...]:
    hints = typing.get_type_hints(kind).items()
    return tuple((name, name in kind.__required_keys__, _decoder(item), _sound(item)) for name, item in hints)
