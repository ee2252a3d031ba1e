"""A search with the fake builder and target, in a temporary folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import optuna

from litetuner.search.config.config import Config, make_config
from litetuner.search.run import SearchEnd, run_search

BASE: dict[str, Any] = {
    "model": "fake:model",
    "data": "fake:data",
    "executor": "fake",
    "target": "fake",
    "max_drop": "3%",
    "max_compressed_size": "60kB",
}


def fake_config(out: Path, **keys: Any) -> Config:
    return make_config(BASE | {"out": str(out), "trials": 25} | keys)


def fake_search(out: Path, *, database: bool = False, **keys: Any) -> SearchEnd:
    """A whole search. Its Optuna study is in memory, which takes a quarter of the time, or in ``study.db``, as a user's is."""
    with contextlib.nullcontext() if database else studies_in_memory():
        return run_search(fake_config(out, **keys))


@contextlib.contextmanager
def studies_in_memory() -> Iterator[None]:
    """Optuna's studies are not written to ``study.db``."""
    with (
        mock.patch("optuna.storages.RDBStorage", _StudiesInMemory),
        mock.patch("litetuner.search.runs.study._write_ahead"),
    ):
        yield


class _StudiesInMemory:
    """In place of ``RDBStorage``: one storage a database, so that later searches in a folder find the study of earlier ones."""

    _known: ClassVar[dict[str, optuna.storages.BaseStorage]] = {}

    def __new__(cls, url: str, **_: Any) -> Any:
        return cls._known.setdefault(url, _InMemory())


class _InMemory(optuna.storages.InMemoryStorage):
    engine = mock.Mock()
