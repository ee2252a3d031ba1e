"""Functions, and dicts of custom layers, that the user gave as Python objects: known by a name, and kept in memory.

They are pickled for workers only, and sent to them through a pipe: nothing of them is stored in a run folder.
"""

import base64
import contextlib
import functools
import keyword
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from litetuner.spaces.errors import ConfigError
from litetuner.spaces.jobs.code_identity import can_import, code_sha256

MODULE = "python_function"  # of their names: python_function:f1_0123456789ab
HASHED = 12  # hex digits
MOST_BYTES = 256_000_000  # of one function with all that it refers to

_pickles: dict[str, bytes] = {}


def name_of(function: Callable[..., Any] | Mapping[str, Any], key: str) -> str:
    """The name of a function: ``module:function`` where workers can import it, else one that holds the hash of its code.

    The latter is kept for the workers that this process starts. A dict of custom layers is named by the hash of their code.
    Raises ``ConfigError`` for what cannot be sent to workers.
    """
    module, qualified = getattr(function, "__module__", "") or "", getattr(function, "__qualname__", "")
    spelled = qualified.isidentifier() and all(part.isidentifier() for part in module.split("."))
    if spelled and can_import(module):
        return f"{module}:{qualified}"
    called = key if isinstance(function, Mapping) else getattr(function, "__name__", type(function).__name__)
    word = re.sub(r"\W+", "_", called).strip("_") or "function"
    name = f"{MODULE}:{word}_{code_sha256(function)[:HASHED]}"
    if name not in _pickles:
        _pickles[name] = _pickle(function, key)
    return name


def _pickle(function: Callable[..., Any] | Mapping[str, Any], key: str) -> bytes:
    import cloudpickle

    what = f"the {_kind(key)}"
    try:
        with _by_value(_modules(function)):
            found: bytes = cloudpickle.dumps(function)
    except Exception as error:  # whatever the objects that it refers to raise
        raise ConfigError(
            f"{key}: {what} cannot be sent to the worker processes ({type(error).__name__}: {error}). It must not refer "
            "to open files, locks or devices: create these inside it."
        ) from error
    if len(found) > MOST_BYTES:
        raise ConfigError(
            f"{key}: {what} refers to {len(found) / 1e6:,.0f} MB of values, and at most {MOST_BYTES / 1e6:.0f} MB are sent "
            "to each worker process. Load them from a file instead, inside the function or the layer."
        )
    return found


def _modules(given: Any) -> set[str]:
    """The names of the modules that define a function, or the classes of a dict."""
    values = given.values() if isinstance(given, Mapping) else (given,)
    parts = [part for value in values for part in (value if isinstance(value, tuple | list) else (value,))]
    return {getattr(part, "__module__", None) or "__main__" for part in parts}


@contextlib.contextmanager
def _by_value(names: set[str]) -> Iterator[None]:
    """What a module defines that no other process can import is pickled with its code, as that of ``__main__`` is."""
    import cloudpickle

    local = [name for name in names if name in sys.modules and name != "__main__" and not can_import(name)]
    for name in local:
        cloudpickle.register_pickle_by_value(sys.modules[name])
    try:
        yield
    finally:
        for name in local:
            cloudpickle.unregister_pickle_by_value(sys.modules[name])


def _kind(key: str) -> str:
    return "dict of custom layers" if key == "custom_objects" else "function"


def is_python_function(spec: str) -> bool:
    """Is this the name of a function that was given as a Python object?"""
    return spec.startswith(f"{MODULE}:")


def shown_name(spec: str) -> str:
    """The function's own name, without the hash: ``f1`` of ``python_function:f1_0123456789ab``; other text as it is."""
    return re.sub(rf"^{MODULE}:(\w+)_[0-9a-f]{{{HASHED}}}", r"\1", spec)


def is_missing(spec: str) -> bool:
    """Is it one that this process was not given?"""
    return is_python_function(spec) and spec not in _pickles


def missing_words(key: str, spec: str) -> str:
    """What to do about a function that is not here."""
    key = key.replace("-", "_")
    name, kind = shown_name(spec), _kind(key)
    example = name if name.isidentifier() and not keyword.iskeyword(name) else "..."
    return (
        f"{key}: the run uses the Python {kind} {name!r}, which is in no file. Give the same {kind} again in Python, "
        f"with {key}={example} in litetuner.tune() or litetuner.rebuild()."
    )


def python_function(spec: str, key: str) -> Any:
    """The function of a name. Raises ``ConfigError`` where it was not given, or cannot be made here."""
    if is_missing(spec):
        raise ConfigError(missing_words(key.removeprefix("--"), spec))
    return _unpickled(_pickles[spec], key, spec)


@functools.lru_cache(maxsize=16)
def _unpickled(content: bytes, key: str, spec: str) -> Any:
    import cloudpickle

    try:
        return cloudpickle.loads(content)
    except Exception as error:  # of the modules that it imports
        raise ConfigError(
            f"{key}: {shown_name(spec)!r} cannot be used in a worker process: {type(error).__name__}: {error}. "
            "Modules that it imports must be installed, or be in the working folder."
        ) from error


def pickles(texts: Iterable[str]) -> dict[str, str]:
    """What a worker needs for the functions that these texts name, as text."""
    given = list(texts)
    named = (name for name in _pickles if any(name in text for text in given))
    return {name: base64.b64encode(_pickles[name]).decode() for name in named}


def receive(given: Mapping[str, str]) -> None:
    """Keep the functions that the parent of this worker has sent."""
    _pickles.update({name: base64.b64decode(content) for name, content in given.items()})
