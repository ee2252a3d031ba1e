"""User functions, given as ``module:function``."""

import ast
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.jobs.python_functions import is_python_function, python_function
from litetuner.spaces.jobs.safe_path import user_folders
from litetuner.spaces.tf import quiet_stdout

# Code that may define names which no statement shows.
DYNAMIC = (
    "import *",
    "globals()",
    "setattr(",
    "__getattr__",
    "exec(",
    "vars(",
)


def is_function(spec: str) -> bool:
    """True if ``spec`` is a function (``module:function``) and not a file or a metric."""
    module, colon, name = spec.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def error_text(error: BaseException) -> str:
    """An error in user code as text: its type, its message, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def load_function(spec: str, purpose: str) -> Callable[..., Any]:
    """Import the function ``module:function``. Modules in the working folder are searched last.

    Output that the module prints is kept off standard output. Raises ``ConfigError`` that says what is missing, or how
    the import of the module fails, with the line.
    """
    found = load_attribute(spec, purpose)
    if not callable(found):
        raise ConfigError(f"{purpose}: {spec} is a {type(found).__name__}, and a function is needed.")
    function: Callable[..., Any] = found
    return function


def load_attribute(spec: str, purpose: str) -> Any:
    """Import ``module:name``, or return the Python object that was passed. Raises the errors of ``load_function``."""
    if is_python_function(spec):
        return python_function(spec, purpose)
    module_name, _, name = spec.partition(":")
    top, folders = module_name.partition(".")[0], user_folders()
    # At the end, so that no library imports a file of the user instead of its own module.
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    _check_first(top, folders, purpose)
    try:
        with quiet_stdout():
            module = importlib.import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None or not (module_name == missing or module_name.startswith(missing + ".")):
            raise ConfigError(
                f"{purpose}: module {module_name!r} fails when it is imported: {error_text(error)}"
            ) from error
        raise ConfigError(_no_module(module_name, purpose)) from error
    if not hasattr(module, name):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(_no_function(spec, purpose, names))
    return getattr(module, name)


def check_named(spec: str, purpose: str) -> None:
    """Raise ``ConfigError`` if ``module:function`` certainly does not exist. The source is parsed, not imported."""
    module, _, name = spec.partition(":")
    top, inner = module.partition(".")[0], Path(*module.split("."))
    places = [Path(folder, inner) for folder in user_folders()]
    file = next(
        (path for place in places for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None
    )
    if file is None:
        known = any(Path(folder, top).is_dir() for folder in user_folders())
        if not known and top not in sys.modules and importlib.util.find_spec(top) is None:
            raise ConfigError(_no_module(module, purpose))
        return
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (SyntaxError, ValueError, OSError):
        return  # a worker reports the error and its line
    names = {part for node in ast.walk(tree) for part in _defined(node)}
    # If no name is similar, the import of the module may give a better error.
    if name not in names and nearest(name, names) and not any(word in text for word in DYNAMIC):
        raise ConfigError(_no_function(spec, purpose, sorted(names)))


def _defined(node: ast.AST) -> list[str]:
    """The names that a statement may define in its module."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return []


def _no_module(module: str, purpose: str) -> str:
    top = module.partition(".")[0]
    return (
        f"{purpose}: there is no module {module!r} (looked in the installed packages and in {', '.join(user_folders())}). "
        f"Run litetuner in the folder that holds {top}.py, or install it."
    )


def _no_function(spec: str, purpose: str, names: Iterable[str]) -> str:
    module, _, name = spec.partition(":")
    return f"{purpose}: module {module!r} has no function {name!r}{nearest(name, names)}"


def _check_first(module: str, folders: list[str], purpose: str) -> None:
    """Raise ``ConfigError`` if Python finds another module before the user's file of that name."""
    files = (Path(folder, tail) for folder in folders for tail in (f"{module}.py", f"{module}/__init__.py"))
    own = next((file for file in files if file.exists()), None)
    loaded = sys.modules.get(module)
    spec = importlib.util.find_spec(module) if loaded is None else getattr(loaded, "__spec__", None)
    origin = getattr(spec, "origin", None) or getattr(loaded, "__file__", None)
    if own is not None and origin is not None and not (os.path.exists(origin) and own.samefile(origin)):
        raise ConfigError(
            f"{purpose}: {own} is not used, because Python already has a module {module!r} ({origin}). Rename the file."
        )
