"""The worker processes of this machine and the slots that use them. Workers share memory and are suspended together."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.runtime.jobs import JobResult, append_log
from litetuner.search.runtime.machine import memory_bytes
from litetuner.search.runtime.worker_process import MEMORY_SHARE, WorkerProcess, memory_limit
from litetuner.spaces.errors import Lost, TimeUp, from_json
from litetuner.spaces.jobs.device import Device
from litetuner.spaces.jobs.job import Job, Kind, Limits, R
from litetuner.spaces.jobs.workspace import Sources

JOBS_A_WORKER = 200  # a worker is replaced after so many jobs, because libraries leak memory
ROLES: dict[Kind, str] = {"inspect": "build", "train": "build", "convert": "build", "score": "score"}
CPU = Device()
RETRIES = 1  # a lost job is tried again on a new worker
RECYCLE_SHARE = 0.6  # of a slot's memory; a worker that uses more between two jobs is replaced


class Crowded(Lost):
    """A job was stopped because all jobs together used too much memory. It is repeated when no other job runs."""


class Workers:
    """All worker processes of this machine, used by the threads of all slots.

    Only the thread that started a worker uses it, but any thread may suspend or end it.
    """

    def __init__(self, folder: RunFolder, sources: Sources, slots: int, device: Device = CPU) -> None:
        # Held during a timing on this machine, and while a worker is started or gets a job.
        self.still = threading.RLock()
        self.closing = False
        self._folder, self._sources, self._slots, self.device = folder, sources, slots, device
        self.trains = {gpu: threading.Lock() for gpu in device.gpus}  # one training at a time on each GPU
        self._all: list[WorkerProcess] = []
        self._started = self._turns = 0
        self._changed = threading.Condition()
        self._running: dict[int, WorkerProcess | None] = {}  # the worker of each turn, by turn number
        self._alone = False  # whether a job that must run alone is waiting or running

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator[int]:
        """Hold a turn for one job; yields its number. No other job runs together with a job that must run ``alone``."""
        with self._changed:
            self._changed.wait_for(lambda: self.closing or not self._alone)
            self._alone = alone
            self._changed.wait_for(lambda: self.closing or not (alone and self._running))
            self._turns += 1
            number = self._turns
            self._running[number] = None
        try:
            yield number
        finally:
            with self._changed:
                del self._running[number]
                self._alone = self._alone and not alone
                self._changed.notify_all()

    def take(self, turn: int, start: tuple[str, str], limits: Limits, worker: WorkerProcess | None) -> WorkerProcess:
        """The worker for a turn: the slot's own one, or a new one whose imports may not have ended.

        ``start`` is the role of a new worker and the GPU that it sees. Raises ``Lost`` if the search ends.
        """
        with self._changed:
            if worker is not None and worker.alive:
                most = RECYCLE_SHARE * memory_limit(limits) / self._slots
                if worker.jobs >= JOBS_A_WORKER or worker.resident_bytes() >= most:
                    worker.kill()
            if worker is None or not worker.alive:
                worker = self.start(*start)
            self._running[turn] = worker
            return worker

    def start(self, role: str, gpu: str) -> WorkerProcess:
        """Start a worker without waiting for its imports. Raises ``Lost`` if the search ends."""
        with self.still:
            if self.closing:
                raise Lost("the search ends")
            self._all = [worker for worker in self._all if worker.alive]
            self._started += 1
            log = self._folder.path / "cache" / "logs" / f"{role}-{self._started}.log"
            found = WorkerProcess(role, self._folder.path.absolute(), log, self._sources, gpu=gpu, wait=False)
            self._all.append(found)
            return found

    def begin(self, worker: WorkerProcess, job: Job[Any]) -> None:
        """Give a worker a job, as soon as no timing runs on this machine."""
        with self.still:
            worker.begin(job)

    def make_room(self, turn: int) -> None:
        """If all workers together use too much memory, end the idle ones.

        If no worker is idle, the job of the newest turn ends its own worker and raises ``Crowded``.
        """
        with self._changed:
            if len(self._running) < 2 or turn != max(self._running):
                return
            alive = [worker for worker in self._all if worker.alive]
            if sum(worker.resident for worker in alive) <= MEMORY_SHARE * memory_bytes():
                return
            busy = [worker for worker in self._running.values() if worker is not None]
            for worker in alive:
                if worker not in busy:
                    worker.kill()
            if len(busy) == len(alive) and (own := self._running[turn]) is not None:
                own.kill()
                raise Crowded("all jobs together used more memory than this machine has for them")

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Suspend all workers, so that no other work of litetuner disturbs a timing."""
        with self.still:
            alive = [worker for worker in self._all if worker.alive]
            try:
                for worker in alive:
                    worker.suspend()
                yield
            finally:
                for worker in alive:
                    worker.resume()

    def close(self) -> None:
        """End all worker processes. No new one is started afterwards."""
        self.closing = True
        ending = list(self._all)
        for worker in ending:
            worker.end()
        for worker in ending:
            worker.kill()
        with self._changed:
            self._changed.notify_all()


class WorkerSlot:
    """Does one job at a time, with one worker for each role.

    Only one thread uses it. That thread must live as long as the workers, see ``WorkerProcess``.
    """

    def __init__(self, workers: Workers, number: int = 0) -> None:
        self._workers = workers
        self._gpu = workers.device.visible(number)
        self._own: dict[str, WorkerProcess] = {}  # by role

    def do(self, job: Job[R], log: Path | None) -> JobResult[R]:
        """The result of a job.

        If its worker is ended from outside, the job is repeated once. If it raises ``Crowded``, it is repeated alone.
        """
        alone, lost = False, 0
        while True:
            try:
                with self._training(job), self._workers.turn(alone=alone) as turn:
                    return self._work(job, log, turn)
            except Crowded:
                alone = True
            except Lost as error:
                lost += 1
                if isinstance(error, TimeUp) or lost > RETRIES or self._workers.closing:
                    raise

    def _training(self, job: Job[Any]) -> contextlib.AbstractContextManager[object]:
        """A lock to hold while a job trains on the slot's GPU, which other slots may share. Other jobs need no lock."""
        lock = self._workers.trains.get(self._gpu)
        return lock if lock is not None and job.kind == "train" else contextlib.nullcontext()

    def _work(self, job: Job[R], log: Path | None, turn: int) -> JobResult[R]:
        """Do a job with the slot's worker. Time in which the worker was suspended is not part of the job's seconds."""
        began, role = awake_seconds(), ROLES[job.kind]
        worker = self._own[role] = self._workers.take(turn, (role, self._gpu), job.limits, self._own.get(role))
        try:
            slept = worker.slept
            worker.wait_until_ready()
            ready = awake_seconds()
            self._workers.begin(worker, job)
            if job.verb == "inspect" and "score" not in self._own:  # its imports run during the inspection
                self._own["score"] = self._workers.start("score", self._gpu)
            answer = worker.answer(lambda: self._workers.make_room(turn))
            used = awake_seconds() - began - (worker.slept - slept)
        finally:
            append_log(log, worker.log_since())
        if "error" in answer:
            raise from_json(answer["error"])
        return JobResult(job.read(answer["result"]), max(0.0, used), ready - began)
