"""A search with the fake builder and target, in a temporary folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import optuna

from litetuner.search.config.config import Config, make_config
from litetuner.search.run import SearchEnd, run_search
from litetuner.search.runs.database import NAME, Database
from litetuner.search.runs.folder import RunFolder

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


_studies: dict[Path, Any] = {}  # by run folder, so that later searches in it find the study of earlier ones


@contextlib.contextmanager
def studies_in_memory() -> Iterator[None]:
    """Optuna's studies are not written to ``study.db``."""
    with (
        mock.patch("litetuner.search.runs.study.open_database", _open_in_memory),
        mock.patch("litetuner.search.runs.recovery.put_aside", lambda run: _studies.pop(run.path, None)),
    ):
        yield


def _open_in_memory(folder: RunFolder) -> Database:
    path = folder.path / NAME
    if not path.exists():
        path.touch()
        _studies[folder.path] = _InMemory()
    return Database(_studies.setdefault(folder.path, _InMemory()), [])


class _InMemory(optuna.storages.InMemoryStorage):
    engine = mock.Mock()
