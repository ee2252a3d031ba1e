"""Jobs in local processes: training workers are reused, timing gets a fresh process and a quiet machine."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

from litetuner.objectives.targets.choice import find_target
from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.awake import GAP_SECONDS, awake_seconds
from litetuner.search.runtime.background import Background
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import JobResult, TimeJob, TimeResult, append_log
from litetuner.search.runtime.machine import usable_cores
from litetuner.search.runtime.worker_process import WorkerProcess, memory_limit
from litetuner.spaces.errors import Lost, TimeUp, from_json
from litetuner.spaces.jobs.job import Job, Kind, Limits, R
from litetuner.spaces.jobs.workspace import Sources

ROLES: dict[Kind, str] = {"inspect": "build", "train": "build", "convert": "build", "score": "score"}
JOBS_A_WORKER = 200  # then it is replaced: libraries leak
RECYCLE_SHARE = 0.6  # of the memory limit: a worker that idles above this is replaced
BACKGROUND = "train"  # the role that works beside the others
SPARE_BYTES = 2e9  # memory that must be free before a second TensorFlow is started
RETRIES = 1  # a lost job is tried again on a new worker


class Local(Executor):
    """The default executor: one job at a time. A worker dies with the search; one that dies alone fails its job.

    All workers are started and asked on one thread, which lives as long as they should (see ``WorkerProcess``).
    """

    name = "local"

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(folder, config)
        self._sources = sources_of(config)
        self._workers: dict[str, WorkerProcess] = {}
        self._started = 0
        self._start_seconds = 0.0  # of the job that runs
        self._closing = False
        self._dispatcher = Dispatcher("litetuner jobs")
        self._background = Background(lambda job: self._worker(BACKGROUND, job.limits))

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        return self._dispatcher.submit(lambda: self._do(job, log))

    def _do(self, job: Job[R], log: Path | None) -> JobResult[R]:
        joined = self._join(job, log)
        if joined is not None:
            return joined
        started, self._start_seconds = awake_seconds(), 0.0
        value: Any
        if isinstance(job, TimeJob):
            value = self._time(job)
        else:  # two trainings at once would take longer, and neither could say what it costs
            with self._suspended([BACKGROUND] if job.kind == "train" else []):
                value = self._work(job, log)
        return JobResult(value, awake_seconds() - started, self._start_seconds)

    @property
    def overlaps(self) -> bool:
        """Two cores, and memory for a second TensorFlow: else training beside other work would only get in its way."""
        if usable_cores() < 2:
            return False
        worker = self._workers.get(BACKGROUND)
        return (worker is not None and worker.alive) or psutil.virtual_memory().available > SPARE_BYTES

    def prefetch(self, job: Job[Any]) -> None:
        if self.overlaps:
            self._dispatcher.submit(lambda: self._background.begin(job)).result()

    def finished(self) -> list[tuple[Job[Any], JobResult[Any]]]:
        return self._dispatcher.submit(self._background.take).result() if self._background.used else []

    def abandon(self) -> None:
        if self._background.used:
            self._dispatcher.submit(self._background.stop).result()

    def _join(self, job: Job[R], log: Path | None) -> JobResult[R] | None:
        try:
            return self._background.join(job, log)
        except TimeUp:
            raise
        except Lost as error:
            self.folder.note("a training in the background was lost and is run again", reason=str(error))
            return None

    def _work(self, job: Job[R], log: Path | None) -> R:
        for attempt in range(RETRIES + 1):
            worker = self._worker(ROLES[job.kind], job.limits)
            try:
                began = awake_seconds()
                worker.wait_until_ready()
                self._start_seconds += awake_seconds() - began
                answer = worker.ask(job, self._background.look)
            except Lost as error:
                if isinstance(error, TimeUp) or attempt == RETRIES or self._closing:
                    raise
                continue
            finally:
                append_log(log, worker.log_since())
            if "error" in answer:
                raise from_json(answer["error"])
            return job.read(answer["result"])
        raise AssertionError("unreachable: the loop returns or raises")

    def _worker(self, role: str, limits: Limits) -> WorkerProcess:
        """The worker of a role, alive; a new one may still import."""
        worker = self._workers.get(role)
        if worker is not None and worker.alive:
            if worker.jobs < JOBS_A_WORKER and worker.resident_bytes() < RECYCLE_SHARE * memory_limit(limits):
                return worker
            worker.kill()
        if self._closing:
            raise Lost("the search ends")
        self._started += 1
        log = self.folder.path / "cache" / "logs" / f"{role}-{self._started}.log"
        self._workers[role] = WorkerProcess(role, self.folder.path.absolute(), log, self._sources, wait=False)
        return self._workers[role]

    def _time(self, job: TimeJob) -> TimeResult:
        target, artifacts = find_target(job.spec).target, self.folder.artifacts
        # Absolute, so that no program takes a path for an option.
        file, baseline = (artifacts.path(name).absolute() for name in (job.file, job.baseline))
        with self.quiet():
            stopped = time.monotonic() - awake_seconds()
            try:
                timing = target.time(file, baseline, job.threads)
            except Lost:
                if time.monotonic() - awake_seconds() - stopped < GAP_SECONDS:
                    raise  # else it was this process that stopped, not the target
                timing = target.time(file, baseline, job.threads)
        return TimeResult(timing.latency_us, timing.baseline_us, timing.ratio, job.file)

    def quiet(self) -> contextlib.AbstractContextManager[None]:
        """Suspend every worker: while something is timed, nothing of ours computes."""
        return self._suspended(self._workers)

    @contextlib.contextmanager
    def _suspended(self, roles: Iterable[str]) -> Iterator[None]:
        found = [self._workers[role] for role in roles if role in self._workers]
        alive = [worker for worker in found if worker.alive]
        try:
            for worker in alive:
                worker.suspend()
            yield
        finally:
            for worker in alive:
                worker.resume()

    def close(self) -> None:
        self._closing = True
        for worker in list(self._workers.values()):
            worker.kill()
        self._dispatcher.close()


def sources_of(config: Config) -> Sources:
    """The user's files and functions, as workers of this session open them."""
    return Sources(config.model, config.data, config.trust_model, config.preprocess, config.custom_objects)
