"""Searches in this process, so that TensorFlow is imported once for all commands of the docs and the examples.

Conversions, trainings and scores are real, by the handlers of the real workers, over the same JSON. Two things are not as in a
search: no worker is started (test_local.py is about those), and latencies are computed by the target ``fake``
(test_runner.py is about real ones). Searches are cut down to a few trials and a few training steps.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

import pytest

from litetuner.objectives.targets.fake import Fake
from litetuner.objectives.targets.host import Host
from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.dispatcher import completed
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.executors.local import sources_of
from litetuner.search.runtime.jobs import JobResult, TimeJob, TimeResult, blob_names
from litetuner.search.runtime.worker import ROLES, Handler, do_job
from litetuner.spaces.errors import from_json
from litetuner.spaces.jobs.job import Job, R

SMALL = {"trials": 3, "max_epochs": 0.1}


class OneProcess(Executor):
    """The jobs of the executor ``local``, done here."""

    name = "one-process"
    _done: ClassVar[dict[str, tuple[dict[str, Any], RunFolder]]] = {}  # by key, and the folder that holds the blobs

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(RunFolder(folder.path.absolute()), config)
        self._handlers: dict[str, dict[str, Handler]] = {}

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        return completed(lambda: self._run(job))

    def _run(self, job: Job[R]) -> JobResult[R]:
        started = time.monotonic()
        record = self._time(job) if isinstance(job, TimeJob) else self._work(job)
        return JobResult(job.read(record), time.monotonic() - started)

    def _work(self, job: Job[Any]) -> dict[str, Any]:
        """A job that was done before is answered from there: equal keys promise equal results."""
        if job.key not in self._done or not self._done[job.key][1].path.exists():
            self._done[job.key] = (self._compute(job), self.folder)
        record, where = self._done[job.key]
        for name in blob_names(record):
            for here, there in ((self.folder.blobs, where.blobs), (self.folder.artifacts, where.artifacts)):
                if not here.has(name) and there.has(name):
                    here.put(there.get(name), Path(name).suffix)
        return record

    def _compute(self, job: Job[Any]) -> dict[str, Any]:
        role = "score" if job.kind == "score" else "build"
        if role not in self._handlers:
            self._handlers[role] = ROLES[role](self.folder.workspace(sources_of(self.config)))
        answer = do_job(self._handlers[role][job.verb], json.loads(json.dumps(job.to_json())))
        if "error" in answer:
            raise from_json(answer["error"])
        record: dict[str, Any] = json.loads(json.dumps(answer["result"]))
        return record

    def _time(self, job: TimeJob) -> dict[str, Any]:
        artifacts = self.folder.artifacts
        timing = Fake().time(artifacts.path(job.file), artifacts.path(job.baseline), job.threads)
        return TimeResult.of(timing, job.file).to_json()


def small_searches(patch: pytest.MonkeyPatch) -> None:
    """Have every search and ``inspect`` done here, and every search end after a few trials."""
    import litetuner.search.config.config
    from litetuner.search.runtime.executors import EXECUTORS
    from litetuner.spaces.building import inspect

    make = litetuner.search.config.config.make_config

    def make_small(values: Mapping[str, Any], *arguments: Any, **how: Any) -> Any:
        return make(values, *arguments, **how).model_copy(update=SMALL)

    patch.setattr(litetuner.search.config.config, "make_config", make_small)
    patch.setattr(inspect, "seconds_per_epoch", lambda *_, **__: 0.5)  # trains for seconds to time an epoch
    patch.setattr(Host, "check", functools.cache(Host.check))  # a process that times a tiny model
    patch.setitem(EXECUTORS, "local", OneProcess)
