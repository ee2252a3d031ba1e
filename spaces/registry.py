"""Packages that register their own modules: a new unit needs only a new file."""

import collections
import functools
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def modules(package: str, path: list[str]) -> Iterator[Any]:
    """Import every module of a package in name order, then those of its sub-packages. Import errors are not caught."""
    for found in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        module = importlib.import_module(f"{package}.{found.name}")
        yield module
        if found.ispkg:
            yield from modules(module.__name__, list(module.__path__))


class Registry(collections.UserDict[str, type[T]]):
    """All subclasses of ``base`` in a package, by their ``name`` attribute. The package is imported at first use.

    So the base class and the code that chooses a unit can be in the same package. ``order`` names the attribute by
    which units are sorted.
    """

    def __init__(self, package: str, path: list[str], base: type[T], order: str = "name") -> None:
        self._package, self._path, self._base, self._order = package, path, base, order

    @functools.cached_property
    def data(self) -> dict[str, type[T]]:  # type: ignore[override]
        found: dict[str, type[T]] = {}
        for module in modules(self._package, self._path):
            for item in vars(module).values():
                own = isinstance(item, type) and issubclass(item, self._base) and item.__module__ == module.__name__
                if own and "name" in vars(item):
                    if item.name in found:
                        raise ValueError(
                            f"{self._package}: {found[item.name]} and {item} are both called {item.name!r}"
                        )
                    found[item.name] = item
        return dict(sorted(found.items(), key=lambda unit: getattr(unit[1], self._order)))
