"""Runs jobs in local processes. Workers are reused.

A timing on this machine gets a new process, while all workers are suspended.
"""

import contextlib
import itertools
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from litetuner.objectives.targets.choice import find_target
from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.awake import GAP_SECONDS, awake_seconds
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import JobResult, TimeJob, TimeResult
from litetuner.search.runtime.workers import Workers, WorkerSlot
from litetuner.spaces.errors import Lost
from litetuner.spaces.jobs.device import choose_device, find_gpus
from litetuner.spaces.jobs.job import Job, R
from litetuner.spaces.jobs.python_functions import pickles
from litetuner.spaces.jobs.workspace import Sources


class Local(Executor):
    """The default executor: one slot for each parallel trial, and one queue for each target.

    Workers end when the search ends. If a worker crashes, only its job fails.
    """

    name = "local"

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(folder, config)
        self.device = choose_device(config.device, () if config.device == "cpu" else find_gpus())
        self._workers = Workers(folder, sources_of(config), config.parallel, self.device)
        self._slots = Dispatcher("litetuner jobs", config.parallel)
        self._slot, self._numbers = threading.local(), itertools.count()
        self._queues: dict[str, Dispatcher] = {}  # by target address
        self._named: dict[str, Dispatcher] = {}  # the same queues by target name
        self._lock = threading.Lock()

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        if isinstance(job, TimeJob):
            timed: Future[Any] = self._queue(job).submit(lambda: self._time(job))
            return timed
        return self._slots.submit(lambda: self._own_slot().do(job, log))

    def _own_slot(self) -> WorkerSlot:
        """The worker slot of this thread."""
        if not hasattr(self._slot, "it"):
            self._slot.it = WorkerSlot(self._workers, next(self._numbers))
        found: WorkerSlot = self._slot.it
        return found

    def _queue(self, job: TimeJob) -> Dispatcher:
        """The queue of a device, which does one timing at a time. Targets with other names or options may share it."""
        address = job.spec.partition("?")[0].rpartition("=")[2]
        with self._lock:
            found = self._queues.setdefault(address, Dispatcher(f"litetuner timing on {job.target}"))
            self._named[job.target] = found
            return found

    def _time(self, job: TimeJob) -> JobResult[TimeResult]:
        target, artifacts = find_target(job.spec).target, self.folder.artifacts
        # Absolute paths, so that no program mistakes a path for an option.
        file, baseline = (artifacts.path(name).absolute() for name in (job.file, job.baseline))
        with self.quiet() if target.on_this_machine else contextlib.nullcontext():
            began, stopped = awake_seconds(), time.monotonic() - awake_seconds()
            try:
                timing = target.time(file, baseline, job.threads)
            except Lost:
                if time.monotonic() - awake_seconds() - stopped < GAP_SECONDS:
                    raise  # else this process was suspended, and the target is not lost
                timing = target.time(file, baseline, job.threads)
            return JobResult(TimeResult.of(timing, job.file), awake_seconds() - began)

    def longest_queues(self) -> dict[str, int]:
        with self._lock:
            return {"workers": self._slots.longest} | {name: queue.longest for name, queue in self._named.items()}

    def quiet(self) -> contextlib.AbstractContextManager[None]:
        """Suspend all workers on this machine."""
        return self._workers.quiet()

    def computing(self) -> contextlib.AbstractContextManager[object]:
        return self._workers.still

    def close(self) -> None:
        self._workers.close()
        for dispatcher in (self._slots, *self._queues.values()):
            dispatcher.close()


def sources_of(config: Config) -> Sources:
    """The user's files and functions, for the workers of this session."""
    functions = pickles(value for _, value in config if isinstance(value, str))
    return Sources(config.model, config.data, config.trust_model, config.preprocess, config.custom_objects, functions)
