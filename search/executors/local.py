"""Jobs in local processes: training workers are reused, timing gets a fresh process and a quiet machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from litetuner.objectives.target_choice import find_target
from litetuner.search.config import Config
from litetuner.search.executor import Executor
from litetuner.search.job import Job, Kind, Result
from litetuner.search.run_folder import RunFolder
from litetuner.search.worker_process import WorkerProcess
from litetuner.spaces.errors import Lost, from_json

ROLES: dict[Kind, str] = {"inspect": "build", "train": "build", "convert": "build", "score": "score"}
JOBS_A_WORKER = 200  # then it is replaced: libraries leak
RECYCLE_SHARE = 0.6  # of the memory limit: a worker that idles above this is replaced
RETRIES = 1  # a lost job is tried again on a new worker


class Local(Executor):
    """The default executor. Workers die with the search; one that dies alone fails its job and is replaced."""

    name = "local"

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(folder, config)
        self._workers: dict[str, WorkerProcess] = {}
        self._started = 0
        self._start_seconds = 0.0  # of the job that runs

    def run(self, job: Job) -> Result:
        started, self._start_seconds = time.monotonic(), 0.0
        outputs = self._time(job) if job.kind == "time" else self._work(job)
        return Result(outputs, time.monotonic() - started, self._start_seconds)

    def _work(self, job: Job) -> dict[str, object]:
        role = ROLES[job.kind]
        for attempt in range(RETRIES + 1):
            worker = self._worker(role, job.limits.memory_bytes)
            try:
                answer = worker.ask(job)
            except Lost:
                if attempt == RETRIES:
                    raise
                continue
            finally:
                _keep_log(worker, job)
            if "error" in answer:
                raise from_json(answer["error"])
            outputs: dict[str, object] = answer["outputs"]
            return outputs
        raise AssertionError("unreachable: the loop returns or raises")

    def _worker(self, role: str, memory_bytes: int) -> WorkerProcess:
        worker = self._workers.get(role)
        if worker is not None and worker.alive:
            if worker.jobs < JOBS_A_WORKER and worker.resident_bytes() < RECYCLE_SHARE * memory_bytes:
                return worker
            worker.kill()
        self._started += 1
        began = time.monotonic()
        log = self.folder.path / "cache" / "logs" / f"{role}-{self._started}.log"
        self._workers[role] = WorkerProcess(role, self.folder.path.absolute(), log)
        self._start_seconds += time.monotonic() - began
        return self._workers[role]

    def _time(self, job: Job) -> dict[str, object]:
        target = find_target(job.hints["spec"]).target
        with self._quiet():
            timing = target.time(Path(job.hints["file"]), Path(job.hints["baseline"]), job.inputs["threads"])
        return {
            "latency_us": timing.latency_us.to_json(),
            "baseline_us": timing.baseline_us.to_json(),
            "ratio": timing.ratio,
        }

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Suspend every worker while something is timed."""
        alive = [worker for worker in self._workers.values() if worker.alive]
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


def _keep_log(worker: WorkerProcess, job: Job) -> None:
    """Append what a job logged to its trial's log."""
    text = worker.log_since()
    if text and "log" in job.hints:
        path = Path(job.hints["log"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(text)
