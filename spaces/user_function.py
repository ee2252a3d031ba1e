"""The user's own functions, named ``module:function``."""

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.jobs.python_functions import is_python_function, python_function
from litetuner.spaces.jobs.safe_path import user_folders
from litetuner.spaces.tf import quiet_stdout


def is_function(spec: str) -> bool:
    """Does ``spec`` name a function (``module:function``) rather than a file or a metric?"""
    module, colon, name = spec.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def told(error: BaseException) -> str:
    """An error of the user's own code: its type, its words, and the line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def load_function(spec: str, purpose: str) -> Callable[..., Any]:
    """The function that ``module:function`` names; modules of the working folder are found last.

    What the module prints does not reach standard output. Raises ``ConfigError`` that says what is missing, or how the
    module itself fails, with the line.
    """
    found = python_function(spec, purpose) if is_python_function(spec) else load_attribute(spec, purpose)
    if not callable(found):
        raise ConfigError(f"{purpose}: {spec} is a {type(found).__name__}, and a function is needed.")
    function: Callable[..., Any] = found
    return function


def load_attribute(spec: str, purpose: str) -> Any:
    """What ``module:name`` names, with the errors of ``load_function``."""
    module_name, _, name = spec.partition(":")
    top, folders = module_name.partition(".")[0], user_folders()
    sys.path.extend(
        folder for folder in folders if folder not in sys.path
    )  # last: no library takes a file there for its own
    _check_first(top, folders, purpose)
    try:
        with quiet_stdout():
            module = importlib.import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None or not (module_name == missing or module_name.startswith(missing + ".")):
            raise ConfigError(f"{purpose}: module {module_name!r} fails when it is imported: {told(error)}") from error
        raise ConfigError(
            f"{purpose}: there is no module {module_name!r} (looked in the installed packages and in "
            f"{', '.join(folders)}). Run litetuner in the folder that holds {top}.py, or install it."
        ) from error
    if not hasattr(module, name):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(f"{purpose}: module {module_name!r} has no function {name!r}{nearest(name, names)}")
    return getattr(module, name)


def _check_first(module: str, folders: list[str], purpose: str) -> None:
    """Raise ``ConfigError`` where Python finds another module before the user's file of that name."""
    files = (Path(folder, tail) for folder in folders for tail in (f"{module}.py", f"{module}/__init__.py"))
    own = next((file for file in files if file.exists()), None)
    loaded = sys.modules.get(module)
    spec = importlib.util.find_spec(module) if loaded is None else getattr(loaded, "__spec__", None)
    origin = getattr(spec, "origin", None) or getattr(loaded, "__file__", None)
    if own is not None and origin is not None and not (os.path.exists(origin) and own.samefile(origin)):
        raise ConfigError(
            f"{purpose}: {own} is not used, because Python already has a module {module!r} ({origin}). Rename the file."
        )
