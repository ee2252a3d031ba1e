"""The cache of jobs: equal inputs give the same result, so each is done once a run."""

import contextlib
import threading
from collections import defaultdict
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.dispatcher import completed, settle
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import JobResult, blob_names
from litetuner.spaces.errors import RunError
from litetuner.spaces.jobs.job import Job, Kind, R


class JobCache:
    """Runs jobs through an executor, or answers them from ``cache/<key>/result.json``. Threads may share it.

    Equal jobs in flight are one job; whoever asks second gets its result as a cached one.
    """

    def __init__(self, folder: RunFolder, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Job[Any], Future[JobResult[Any]]]] = {}  # by key
        self._begun: dict[str, Future[JobResult[Any]]] = {}  # those of the executor, by key
        self._waiting: dict[Path, Job[Any]] = {}  # what is waited for, by the log of who waits
        self._sharing: set[Path] = set()  # logs of those that wait for a job of somebody else
        self.node_seconds: defaultdict[str, float] = defaultdict(
            float
        )  # of jobs, where the executor tells who did them

    def run(self, job: Job[R], log: Path | None = None) -> JobResult[R]:
        """A job's result; one from the cache costs nothing and is marked ``cached``."""
        if log is None:
            return self.submit(job).result()
        self._waiting[log] = job
        try:
            return self.submit(job, log).result()
        finally:
            self._sharing.discard(log)
            del self._waiting[log]

    def shares(self, log: Path) -> bool:
        """Does whom this log belongs to wait for a job that somebody else began?"""
        return log in self._sharing

    def waits_for(self, log: Path | None) -> tuple[Kind | None, bool]:
        """The kind of job that is being done for whom this log belongs to, and whether it is still queued."""
        job = None if log is None else self._waiting.get(log)
        if job is None:
            return None, False
        begun = self._begun.get(job.key)
        return job.kind, begun is not None and not begun.running() and not begun.done()

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        """The promise of a job's result; ``log`` is the file that gets what the job writes."""
        promised: Future[JobResult[R]] = Future()
        with self._lock:
            if job.key in self._running:
                if log is not None:
                    self._sharing.add(log)
                return _shared(self._running[job.key][1])
            stored = self.known(job)
            if stored is not None:
                return completed(lambda: stored)
            self._running[job.key] = (job, promised)
        try:
            started = self._executor.submit(job, log)
        except BaseException as error:
            self._settle(job, promised, _failed(error))
            raise
        self._begun[job.key] = started
        started.add_done_callback(lambda found: self._settle(job, promised, found))
        return promised

    def _settle(self, job: Job[R], promised: Future[JobResult[R]], found: Future[JobResult[R]]) -> None:
        def keep() -> JobResult[R]:
            try:
                result = found.result()
                if result.node:
                    self.node_seconds[result.node] += result.seconds
                self._write(job, result)
            finally:
                with self._lock:
                    del self._running[job.key]
                    self._begun.pop(job.key, None)
            return result

        settle(promised, keep)

    def computing(self) -> contextlib.AbstractContextManager[object]:
        """See ``Executor.computing``."""
        return self._executor.computing()

    @property
    def held(self) -> set[str]:
        """Blobs that the jobs which run stand on: none of them may be evicted."""
        with self._lock:
            return set().union(*(blob_names(job.to_json()) for job, _ in self._running.values()))

    def known(self, job: Job[R]) -> JobResult[R] | None:
        """The result if it is stored and all its blobs are still there."""
        try:
            record = (self._folder.read(_entry(job)) or {}).get("result")
        except RunError:  # damaged, such as by a power cut: the job is done again
            return None
        if record is None:
            return None
        store = self._folder.artifacts if job.verb == "finish" else self._folder.blobs
        made = (
            () if job.kind == "time" else blob_names(record)
        )  # a timing names the file that was timed, and makes none
        if not all(store.has(name) for name in made):
            return None
        try:
            return JobResult(job.read(record), cached=True)
        except ValueError:  # another version's, or a stranger's
            return None

    def _write(self, job: Job[R], result: JobResult[R]) -> None:
        record = {"kind": job.kind, "verb": job.verb, "seconds": result.seconds, "result": result.value.to_json()}
        self._folder.write(_entry(job), record | {"environment": job.environment.to_json()}, durable=False)


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
