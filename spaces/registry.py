"""Folders that register their own modules: a new unit is one new file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any


def modules(package: str, path: list[str]) -> Iterator[Any]:
    """Import every module of a package in name order. A broken file is a loud error, by intention."""
    for found in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        yield importlib.import_module(f"{package}.{found.name}")


def classes(package: str, path: list[str], base: type) -> dict[str, Any]:
    """All subclasses of ``base`` that a package's modules define, by their ``name`` attribute."""
    found: dict[str, Any] = {}
    for module in modules(package, path):
        for item in vars(module).values():
            own = isinstance(item, type) and issubclass(item, base) and item.__module__ == module.__name__
            if own and "name" in vars(item):
                if item.name in found:
                    raise ValueError(f"two units of {package} are called {item.name!r}: {found[item.name]} and {item}")
                found[item.name] = item
    return found
