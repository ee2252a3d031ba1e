"""The job cache: jobs with equal inputs have the same result, so a run does each of them only once."""

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
    """Runs jobs through an executor, or returns cached results from ``cache/<key>/result.json``. Threads may share it.

    Equal jobs that are requested at the same time run once. All but the first caller get a cached result.
    """

    def __init__(self, folder: RunFolder, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Job[Any], Future[JobResult[Any]]]] = {}  # by key
        self._begun: dict[str, Future[JobResult[Any]]] = {}  # the executor's futures, by key
        self._waiting: dict[Path, Job[Any]] = {}  # the job that a trial waits for, by the trial's log
        self._sharing: set[Path] = set()  # logs of trials that wait for a job of another trial
        # Seconds of jobs by node, if the executor tells the node.
        self.node_seconds: defaultdict[str, float] = defaultdict(float)

    def run(self, job: Job[R], log: Path | None = None) -> JobResult[R]:
        """The result of a job. A cached result takes 0 seconds and is marked ``cached``."""
        if log is None:
            return self.submit(job).result()
        self._waiting[log] = job
        try:
            return self.submit(job, log).result()
        finally:
            self._sharing.discard(log)
            del self._waiting[log]

    def shares(self, log: Path) -> bool:
        """True if the trial with this log waits for a job that another trial began."""
        return log in self._sharing

    def waits_for(self, log: Path | None) -> tuple[Kind | None, bool]:
        """The kind of job that the trial with this log waits for, and whether that job is still queued."""
        job = None if log is None else self._waiting.get(log)
        if job is None:
            return None, False
        begun = self._begun.get(job.key)
        return job.kind, begun is not None and not begun.running() and not begun.done()

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        """The future of a job's result. The output of the job is appended to ``log``."""
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
        """Blobs that running jobs need. They must not be evicted."""
        with self._lock:
            return set().union(*(blob_names(job.to_json()) for job, _ in self._running.values()))

    def known(self, job: Job[R]) -> JobResult[R] | None:
        """The cached result of a job, or ``None`` if it cannot be read or one of its files is missing or damaged."""
        try:
            record = (self._folder.read(_entry(job)) or {}).get("result")
        except RunError:  # damaged, for example by a power cut: the job runs again
            return None
        if record is None:
            return None
        store = self._folder.artifacts if job.verb == "finish" else self._folder.blobs
        # A timing names the file that was timed, but creates no file.
        made = () if job.kind == "time" else blob_names(record)
        if not all(store.has(name) for name in made):
            return None
        try:
            return JobResult(job.read(record), cached=True)
        except ValueError:  # from another version, or not from litetuner
            return None

    def _write(self, job: Job[R], result: JobResult[R]) -> None:
        record = {"kind": job.kind, "verb": job.verb, "seconds": result.seconds, "result": result.value.to_json()}
        self._folder.write(_entry(job), record | {"environment": job.environment.to_json()}, durable=False)


def _entry(job: Job[Any]) -> str:
    return f"cache/{job.key}/result"


def _shared(running: Future[JobResult[R]]) -> Future[JobResult[R]]:
    """A future for a job that another caller began. Its result has no seconds: they count for the first caller."""
    promised: Future[JobResult[R]] = Future()
    running.add_done_callback(lambda found: settle(promised, lambda: JobResult(found.result().value, cached=True)))
    return promised


def _failed(error: BaseException) -> Future[Any]:
    failed: Future[Any] = Future()
    failed.set_exception(error)
    return failed
