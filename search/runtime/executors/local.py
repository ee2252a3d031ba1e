"""Jobs in local processes: training workers are reused, timing gets a fresh process and a quiet machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from litetuner.objectives.targets.choice import find_target
from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.background import Background
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import Job, Kind, Result
from litetuner.search.runtime.machine import usable_cores
from litetuner.search.runtime.worker_process import WorkerProcess
from litetuner.spaces.errors import Lost, from_json

ROLES: dict[Kind, str] = {"inspect": "build", "train": "build", "convert": "build", "score": "score"}
JOBS_A_WORKER = 200  # then it is replaced: libraries leak
RECYCLE_SHARE = 0.6  # of the memory limit: a worker that idles above this is replaced
BACKGROUND = "train"  # the role that works beside the others
SPARE_BYTES = 2e9  # memory that must be free before a second TensorFlow is started
RETRIES = 1  # a lost job is tried again on a new worker


class Local(Executor):
    """The default executor. Workers die with the search; one that dies alone fails its job and is replaced."""

    name = "local"

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(folder, config)
        self._workers: dict[str, WorkerProcess] = {}
        self._started = 0
        self._start_seconds = 0.0  # of the job that runs
        self._background = Background(lambda job: self._worker(BACKGROUND, job.limits.memory_bytes, wait=False))

    def run(self, job: Job) -> Result:
        joined = self._join(job)
        if joined is not None:
            return joined
        started, self._start_seconds = time.monotonic(), 0.0
        if job.kind == "time":
            outputs = self._time(job)
        else:  # two trainings at once would take longer, and neither could say what it costs
            with self._suspended([BACKGROUND] if job.kind == "train" else []):
                outputs = self._work(job)
        return Result(outputs, time.monotonic() - started, self._start_seconds)

    @property
    def overlaps(self) -> bool:
        """Two cores, and memory for a second TensorFlow: else training beside other work would only get in its way."""
        if usable_cores() < 2:
            return False
        worker = self._workers.get(BACKGROUND)
        return (worker is not None and worker.alive) or psutil.virtual_memory().available > SPARE_BYTES

    def prefetch(self, job: Job) -> None:
        if self.overlaps:
            self._background.begin(job)

    def finished(self) -> list[tuple[Job, Result]]:
        return self._background.take()

    def abandon(self) -> None:
        self._background.stop()

    def _join(self, job: Job) -> Result | None:
        try:
            return self._background.join(job)
        except Lost as error:
            self.folder.note("a training in the background was lost and is run again", reason=str(error))
            return None

    def _work(self, job: Job) -> dict[str, object]:
        role = ROLES[job.kind]
        for attempt in range(RETRIES + 1):
            worker = self._worker(role, job.limits.memory_bytes)
            try:
                answer = worker.ask(job, self._background.look)
            except Lost:
                if attempt == RETRIES:
                    raise
                continue
            finally:
                job.keep_log(worker.log_since())
            if "error" in answer:
                raise from_json(answer["error"])
            outputs: dict[str, object] = answer["outputs"]
            return outputs
        raise AssertionError("unreachable: the loop returns or raises")

    def _worker(self, role: str, memory_bytes: int, *, wait: bool = True) -> WorkerProcess:
        worker = self._workers.get(role)
        if worker is not None and worker.alive:
            if worker.jobs < JOBS_A_WORKER and worker.resident_bytes() < RECYCLE_SHARE * memory_bytes:
                return worker
            worker.kill()
        self._started += 1
        began = time.monotonic()
        log = self.folder.path / "cache" / "logs" / f"{role}-{self._started}.log"
        self._workers[role] = WorkerProcess(role, self.folder.path.absolute(), log, wait=wait)
        self._start_seconds += time.monotonic() - began
        return self._workers[role]

    def _time(self, job: Job) -> dict[str, object]:
        target = find_target(job.hints["spec"]).target
        with self.quiet():
            timing = target.time(Path(job.hints["file"]), Path(job.hints["baseline"]), job.inputs["threads"])
        return {
            "latency_us": timing.latency_us.to_json(),
            "baseline_us": timing.baseline_us.to_json(),
            "ratio": timing.ratio,
        }

    def quiet(self) -> contextlib.AbstractContextManager[None]:
        """Suspend every worker: while something is timed, nothing of ours computes."""
        return self._suspended(self._workers)

    @contextlib.contextmanager
    def _suspended(self, roles: Iterable[str]) -> Iterator[None]:
        """Suspend the workers of some roles."""
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
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()
