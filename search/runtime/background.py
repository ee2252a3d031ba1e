"""One training in the background: begun, looked after, joined. Its failure is told to whoever joins it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.runtime.jobs import JobResult, append_log
from litetuner.search.runtime.worker_process import POLL_SECONDS, WorkerProcess
from litetuner.spaces.errors import LitetunerError, Lost, from_json
from litetuner.spaces.jobs.job import Job, R


class Background:
    """At most one job at a time. ``find`` gives a worker for a job, alive, and need not wait until it is ready."""

    def __init__(self, find: Callable[[Job[Any]], WorkerProcess]) -> None:
        self._find = find
        self._worker: WorkerProcess | None = None
        self._job: Job[Any] | None = None  # what runs
        self._began = self._slept = 0.0  # when it began, and what its worker had slept by then
        self._done: dict[str, tuple[Job[Any], JobResult[Any]]] = {}  # by key, until somebody takes it
        self._failed: dict[str, LitetunerError] = {}
        self.used = False

    def begin(self, job: Job[Any]) -> None:
        """Begin a job, in place of another one that runs; one that runs or has ended stays as it is."""
        self.look()
        self.used = True
        if job.key in self._failed or job.key in self._done or (self._job is not None and self._job.key == job.key):
            return
        self.stop()
        self._began, self._slept, self._job = awake_seconds(), 0.0, job
        try:
            self._worker = self._find(job)
            self._slept = self._worker.slept
            self._worker.begin(job)
        except LitetunerError as error:
            self._fail(error)

    def look(self, seconds: float = 0.0) -> None:
        """Take in an answer that has come, or that comes within some seconds."""
        if self._job is None or self._worker is None:
            return
        try:
            answer = self._worker.look(seconds)
        except LitetunerError as error:
            self._fail(error)
            return
        if answer is None:
            return
        if "error" in answer:
            self._fail(from_json(answer["error"]))
            return
        job, self._job = self._job, None
        used = awake_seconds() - self._began - (self._worker.slept - self._slept)
        result = JobResult(job.read(answer["result"]), used, overlapped=used, log=self._worker.log_since())
        self._done[job.key] = (job, result)

    def take(self) -> list[tuple[Job[Any], JobResult[Any]]]:
        """What has ended well and was not taken yet."""
        self.look()
        found, self._done = list(self._done.values()), {}
        return found

    def join(self, job: Job[R], log: Path | None = None) -> JobResult[R] | None:
        """The result of a job that runs or ran here, waited for; ``None`` for any other. Raises what it failed with."""
        started = awake_seconds()
        while self._job is not None and self._job.key == job.key:
            self.look(POLL_SECONDS)
        if job.key in self._failed:
            raise self._failed.pop(job.key)
        if job.key not in self._done:
            return None
        _, result = self._done.pop(job.key)
        append_log(log, result.log)
        waited = awake_seconds() - started
        return dataclasses.replace(result, overlapped=max(0.0, result.seconds - waited))

    def stop(self) -> None:
        """End what runs, with its process: a training cannot be told to stop. A worker that idles stays."""
        if self._job is not None and self._worker is not None:
            self._worker.kill()
        self._job = None

    def _fail(self, error: LitetunerError) -> None:
        assert self._job is not None  # only what runs fails
        if self._worker is None or not self._worker.ready:
            error = Lost(f"the worker in the background did not start: {error}")
        self._failed[self._job.key], self._job = error, None
