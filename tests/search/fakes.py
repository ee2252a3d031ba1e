"""A search with the fake builder and target, in a temporary folder."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import optuna

from litetuner.search.config.config import Config, make_config
from litetuner.search.run import SearchEnd, run_search
from litetuner.search.runs.databases.database import Database, StudyFile
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.runtime.executors.fake import Fake
from litetuner.search.runtime.jobs import JobResult
from litetuner.spaces.jobs.job import Job, Kind, R

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


class Replayed(Fake):
    """Fake jobs that take the seconds of their kind, as many at once as trials are in flight, timings one after the other."""

    seconds: ClassVar[dict[Kind, float]] = {"train": 0.03, "convert": 0.004, "score": 0.004, "time": 0.004}
    done: ClassVar[list[tuple[Job[Any], float, float]]] = []  # with begin and end

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(folder, config)
        self._slots = Dispatcher("replayed jobs", config.parallel)
        self._device = Dispatcher("replayed timings")

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        def replay() -> JobResult[R]:
            began = time.monotonic()
            result = Fake.submit(self, job, log).result()
            time.sleep(max(0.0, began + self.seconds.get(job.kind, 0.0) - time.monotonic()))
            self.done.append((job, began, time.monotonic()))
            return dataclasses.replace(result, seconds=time.monotonic() - began)

        return (self._device if job.kind == "time" else self._slots).submit(replay)

    def close(self) -> None:
        for dispatcher in (self._slots, self._device):
            dispatcher.close()


_studies: dict[Path, Any] = {}  # by run folder, so that later searches in it find the study of earlier ones


@contextlib.contextmanager
def studies_in_memory() -> Iterator[None]:
    """Optuna's studies are not written to ``study.db``."""
    with (
        mock.patch.object(StudyFile, "open", _open_in_memory),
        mock.patch.object(StudyFile, "put_aside", lambda place, study: _studies.pop(place.folder, None)),
    ):
        yield


def _open_in_memory(place: StudyFile) -> Database:
    if not place.path.exists():
        place.path.touch()
        _studies[place.folder] = _InMemory()
    return Database(_studies.setdefault(place.folder, _InMemory()))


class _InMemory(optuna.storages.InMemoryStorage):
    engine = mock.Mock()
