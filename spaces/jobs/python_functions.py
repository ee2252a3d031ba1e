"""Functions, and dicts of custom layers, that the user passes as Python objects. Each has a name and is kept in memory.

They are pickled only for workers, which receive them through a pipe. They are never stored in a run folder.
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

MODULE = "python_function"  # the prefix of their names, such as python_function:f1_0123456789ab
HASHED = 12  # hex digits of the hash in a name
MOST_BYTES = 256_000_000  # maximum pickle size of one function with everything that it refers to

_pickles: dict[str, bytes] = {}


def name_of(function: Callable[..., Any] | Mapping[str, Any], key: str) -> str:
    """The name of a function: ``module:function`` if workers can import it, else a name with the hash of its code.

    A function with a hash is kept in memory for the workers that this process starts. The name of a dict of custom
    layers always has a hash of their code. Raises ``ConfigError`` for an object that cannot be sent to workers.
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
    except Exception as error:  # the objects that it refers to can raise anything
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
    """Within this context, objects of modules that no other process can import are pickled with their code.

    cloudpickle does this by default only for ``__main__``.
    """
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
    """True if this is the name of a function that was passed as a Python object."""
    return spec.startswith(f"{MODULE}:")


def shown_name(spec: str) -> str:
    """The function's name without the hash: ``f1`` for ``python_function:f1_0123456789ab``; other text is unchanged."""
    return re.sub(rf"^{MODULE}:(\w+)_[0-9a-f]{{{HASHED}}}", r"\1", spec)


def is_missing(spec: str) -> bool:
    """True if this names a Python object that this process does not have."""
    return is_python_function(spec) and spec not in _pickles


def missing_words(key: str, spec: str) -> str:
    """An error message that says how to provide a missing function."""
    key = key.replace("-", "_")
    name, kind = shown_name(spec), _kind(key)
    example = name if name.isidentifier() and not keyword.iskeyword(name) else "..."
    return (
        f"{key}: the run uses the Python {kind} {name!r}, which is in no file. Give the same {kind} again in Python, "
        f"with {key}={example} in litetuner.tune() or litetuner.rebuild()."
    )


def python_function(spec: str, key: str) -> Any:
    """The function with this name. Raises ``ConfigError`` if this process does not have it or cannot unpickle it."""
    if is_missing(spec):
        raise ConfigError(missing_words(key.removeprefix("--"), spec))
    return _unpickled(_pickles[spec], key, spec)


@functools.lru_cache(maxsize=16)
def _unpickled(content: bytes, key: str, spec: str) -> Any:
    import cloudpickle

    try:
        return cloudpickle.loads(content)
    except Exception as error:  # the modules that it imports can raise anything
        raise ConfigError(
            f"{key}: {shown_name(spec)!r} cannot be used in a worker process: {type(error).__name__}: {error}. "
            "Modules that it imports must be installed, or be in the working folder."
        ) from error


def pickles(texts: Iterable[str]) -> dict[str, str]:
    """The pickles (base64) of all functions whose names occur in these texts, by name; a worker needs them."""
    given = list(texts)
    named = (name for name in _pickles if any(name in text for text in given))
    return {name: base64.b64encode(_pickles[name]).decode() for name in named}


def receive(given: Mapping[str, str]) -> None:
    """Store the functions that the parent process of this worker has sent."""
    _pickles.update({name: base64.b64decode(content) for name, content in given.items()})
