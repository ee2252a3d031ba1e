"""The identity of a Python function: a hash of its code, constants, defaults, closure values and used globals."""

import dis
import functools
import hashlib
import inspect
import json
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.jobs.safe_path import user_folders

GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")


def code_sha256(function: Any) -> str:
    """The sha256 of everything that determines a function's result; independent of its file, line or notebook cell.

    This includes the functions that it calls. Functions of the same notebook or script count by their code, those of
    modules in the user's folders by the content of the module's file, and those of installed packages by their name.
    """
    described = json.dumps(_describe(function, {}), sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()


def _describe(value: Any, seen: dict[int, int]) -> Any:
    """A value described by JSON values. Equal values have equal descriptions in every process."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes) or value is Ellipsis:
        return f"{type(value).__name__} {value!r}"
    if id(value) in seen:
        return f"again {seen[id(value)]}"
    seen[id(value)] = len(seen)
    if isinstance(value, types.CodeType):
        return _code(value, seen)
    if isinstance(value, tuple | list):
        return [type(value).__name__, *(_describe(item, seen) for item in value)]
    if isinstance(value, set | frozenset):
        return [type(value).__name__, *sorted(json.dumps(_describe(item, {})) for item in value)]
    if isinstance(value, dict | types.MappingProxyType):
        return {str(key): _describe(item, seen) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        if not array.dtype.hasobject:
            return f"array {array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    return _describe_object(value, seen)


def _describe_object(value: Any, seen: dict[int, int]) -> Any:
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__} {_user_file(value.__name__)}"
    if isinstance(value, functools.partial):
        return [_describe(part, seen) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, types.MethodType):
        return [_describe(value.__func__, seen), _describe(value.__self__, seen)]
    if isinstance(value, types.FunctionType | type | types.BuiltinFunctionType | np.ufunc):
        if _is_importable(value):
            module = getattr(value, "__module__", None) or "builtins"
            return f"{module}.{getattr(value, '__qualname__', value.__name__)} {_user_file(module)}"
        return _function(value, seen) if isinstance(value, types.FunctionType) else _class(value, seen)
    # An object of a class that is defined in a notebook or script: its class and its attributes.
    if not can_import(type(value).__module__) and hasattr(value, "__dict__"):
        return [_describe(type(value), seen), _describe(vars(value), seen)]
    return [f"{type(value).__module__}.{type(value).__qualname__}", _pickled(value)]


def _function(function: types.FunctionType, seen: dict[int, int]) -> Any:
    cells = [_cell(cell) for cell in function.__closure__ or ()]
    known = function.__globals__
    used = sorted({name for name in _global_names(function.__code__) if name in known})
    return {
        "code": _code(function.__code__, seen),
        "defaults": [_describe(function.__defaults__, seen), _describe(function.__kwdefaults__, seen)],
        "closure": [_describe(value, seen) for value in cells],
        "attributes": _describe(vars(function), seen),
        "globals": {name: _describe(known[name], seen) for name in used},
    }


def _class(kind: Any, seen: dict[int, int]) -> Any:
    own = {name: item for name, item in vars(kind).items() if not name.startswith("__") or inspect.isfunction(item)}
    return {"bases": [_describe(base, seen) for base in kind.__bases__], "own": _describe(own, seen)}


def _code(code: types.CodeType, seen: dict[int, int]) -> Any:
    constants = [
        _code(item, seen) if isinstance(item, types.CodeType) else _describe(item, {}) for item in code.co_consts
    ]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    return [hashlib.sha256(code.co_code).hexdigest(), constants, [list(each) for each in names], counts]


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from (str(item.argval) for item in dis.get_instructions(code) if item.opname in GLOBALS)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _global_names(inner)


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return "empty"


def can_import(module: str) -> bool:
    """True if another process can import the module: false for notebooks, scripts, and modules made with ``exec``."""
    return module != "__main__" and getattr(sys.modules.get(module), "__spec__", None) is not None


def _is_importable(value: Any) -> bool:
    """True if importing the value's module and looking up its name gives the same object in another process."""
    module, name = getattr(value, "__module__", None) or "builtins", getattr(value, "__qualname__", value.__name__)
    if not can_import(module):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _user_file(module: str) -> str:
    """The sha256 of a module's file in one of the user's folders. Empty for installed packages, which have versions."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None or os.path.dirname(os.path.abspath(path)) not in user_folders():
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _pickled(value: Any) -> str:
    import cloudpickle

    try:
        return hashlib.sha256(cloudpickle.dumps(value)).hexdigest()
    except Exception as error:  # the object can raise anything; ``_pickle`` in python_functions.py reports it
        return f"not pickled: {type(error).__name__}"
