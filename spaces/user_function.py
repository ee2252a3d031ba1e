"""The user's own functions, named ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litetuner.spaces.errors import ConfigError, nearest


def is_function(spec: str) -> bool:
    """Does ``spec`` name a function (``module:function``) rather than a file or a metric?"""
    module, colon, name = spec.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def load_function(spec: str, purpose: str) -> Callable[..., Any]:
    """The function that ``module:function`` names; modules of the working folder are found first.

    Raises ``ConfigError`` that says what is missing. Errors of the user's module itself are passed on as they are.
    """
    module_name, _, name = spec.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise
        raise ConfigError(
            f"{purpose}: there is no module {module_name!r} (looked in {here} and the installed packages). "
            f"Run litetuner in the folder that holds {module_name.partition('.')[0]}.py, or install it."
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(f"{purpose}: module {module_name!r} has no function {name!r}{nearest(name, names)}")
    function: Callable[..., Any] = found
    return function
