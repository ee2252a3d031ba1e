"""The cache of jobs: equal inputs give the same result, so each is done once a run."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.dispatcher import completed, settle
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import JobResult, append_log
from litetuner.spaces.errors import RunError
from litetuner.spaces.jobs.job import Job, R

BLOB = re.compile(r"[0-9a-f]{64}\.\w+")


class JobCache:
    """Runs jobs through an executor, or answers them from ``cache/<key>/result.json``. Threads may share it.

    Equal jobs in flight are one job; whoever asks second gets its result as a cached one.
    """

    def __init__(self, folder: RunFolder, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor
        self._lock = threading.RLock()
        self._running: dict[str, Future[JobResult[Any]]] = {}  # by key
        self._unclaimed: dict[str, JobResult[Any]] = {}  # what ran ahead, by key, until somebody runs it
        self._ahead: set[str] = set()  # blobs that what runs ahead stands on
        self._overlapped = 0.0

    def run(self, job: Job[R], log: Path | None = None) -> JobResult[R]:
        """A job's result; one from the cache costs nothing and is marked ``cached``."""
        return self.submit(job, log).result()

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        """The promise of a job's result; ``log`` is the file that gets what the job writes."""
        self._harvest()
        promised: Future[JobResult[R]] = Future()
        with self._lock:
            running = self._running.get(job.key)
            if running is not None:
                return _shared(running)
            stored, ahead = self._read(job), self._unclaimed.pop(job.key, None)
            if stored is not None and ahead is not None:
                append_log(log, ahead.log)
                self._overlapped += ahead.overlapped
                return completed(lambda: ahead)
            if stored is not None:
                return completed(lambda: stored)
            self._running[job.key] = promised
        try:
            started = self._executor.submit(job, log)
        except BaseException as error:
            self._settle(job, promised, _failed(error))
            raise
        started.add_done_callback(lambda found: self._settle(job, promised, found))
        return promised

    def _settle(self, job: Job[R], promised: Future[JobResult[R]], found: Future[JobResult[R]]) -> None:
        def keep() -> JobResult[R]:
            try:
                result = found.result()
                self._write(job, result)
            finally:
                with self._lock:
                    del self._running[job.key]
            with self._lock:
                self._overlapped += result.overlapped
            return result

        settle(promised, keep)

    def known(self, job: Job[R]) -> JobResult[R] | None:
        """The result if it is stored and all its blobs are still there.

        What ran ahead is known once somebody has run it: a trial must not depend on how far the background had come.
        """
        found = self.stored(job)
        return None if job.key in self._unclaimed else found

    def stored(self, job: Job[R]) -> JobResult[R] | None:
        """The result if it is stored, also where it ran ahead and nobody has asked for it yet."""
        self._harvest()
        return self._read(job)

    @property
    def overlaps(self) -> bool:
        return self._executor.overlaps

    def prefetch(self, job: Job[Any]) -> None:
        """Have a ``train`` job begin in the background, in place of another one there, if it is not done already."""
        if self.stored(job) is None:
            self._ahead = set(_blobs(job.to_json()))  # at most one runs
            self._executor.prefetch(job)

    def abandon(self) -> None:
        """End what runs ahead. What has ended stays."""
        self._harvest()
        self._executor.abandon()

    @property
    def held(self) -> set[str]:
        """Blobs that what runs or ran ahead needs: none of them may be evicted."""
        with self._lock:
            return self._ahead.union(*(_blobs(result.value.to_json()) for result in self._unclaimed.values()))

    def take_overlapped(self) -> float:
        """Seconds of training, since this was last asked, that passed beside other jobs."""
        with self._lock:
            found, self._overlapped = self._overlapped, 0.0
            return found

    def _harvest(self) -> None:
        """Outside of the lock: an executor may be waiting for it."""
        for job, result in self._executor.finished():
            self._write(job, result)
            with self._lock:
                self._unclaimed[job.key] = result

    def _write(self, job: Job[R], result: JobResult[R]) -> None:
        record = {"kind": job.kind, "verb": job.verb, "seconds": result.seconds, "result": result.value.to_json()}
        self._folder.write(_entry(job), record | {"environment": job.environment.to_json()}, durable=False)

    def _read(self, job: Job[R]) -> JobResult[R] | None:
        try:
            record = (self._folder.read(_entry(job)) or {}).get("result")
        except RunError:  # damaged, such as by a power cut: the job is done again
            return None
        if record is None:
            return None
        store = self._folder.artifacts if job.verb == "finish" else self._folder.blobs
        made = () if job.kind == "time" else _blobs(record)  # a timing names the file that was timed, and makes none
        if not all(store.has(name) for name in made):
            return None
        return JobResult(job.read(record), cached=True)


def _entry(job: Job[Any]) -> str:
    return f"cache/{job.key}/result"


def _shared(running: Future[JobResult[R]]) -> Future[JobResult[R]]:
    """The promise of a job that somebody else waits for, whose seconds are counted there."""
    promised: Future[JobResult[R]] = Future()
    running.add_done_callback(lambda found: settle(promised, lambda: JobResult(found.result().value, cached=True)))
    return promised


def _failed(error: BaseException) -> Future[Any]:
    failed: Future[Any] = Future()
    failed.set_exception(error)
    return failed


def _blobs(value: Any) -> Iterator[str]:
    if isinstance(value, str) and BLOB.fullmatch(value):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _blobs(item)
