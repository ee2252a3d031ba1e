"""All worker processes of this machine, which are suspended together and share its memory, and the slots that use them."""

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

JOBS_A_WORKER = 200  # then it is replaced: libraries leak
ROLES: dict[Kind, str] = {"inspect": "build", "train": "build", "convert": "build", "score": "score"}
CPU = Device()
RETRIES = 1  # a lost job is tried again on a new worker
RECYCLE_SHARE = 0.6  # of the memory of a slot: a worker that idles above this is replaced


class Crowded(Lost):
    """A job that gave way, since all together used too much memory. It is done again when nothing else runs."""


class Workers:
    """Used by the threads of all slots; each worker by the thread that started it, but for suspending and ending it."""

    def __init__(self, folder: RunFolder, sources: Sources, slots: int, device: Device = CPU) -> None:
        self.still = threading.RLock()  # held while something is timed here, and while a worker is given anything to do
        self.closing = False
        self._folder, self._sources, self._slots, self.device = folder, sources, slots, device
        self.trains = {gpu: threading.Lock() for gpu in device.gpus}  # one training at a time on each
        self._all: list[WorkerProcess] = []
        self._started = self._turns = 0
        self._changed = threading.Condition()
        self._running: dict[int, WorkerProcess | None] = {}  # what works, by the number of its turn
        self._alone = False  # does something wait or work that must be alone?

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator[int]:
        """A job's turn, by its number. Where it must work ``alone`` it waits for all others, and they for it."""
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
        """The worker for a turn: the one that the slot has, or a new one, which may still import. Raises ``Lost`` at the end.

        ``start`` is the role of a new one, and the GPU that it sees.
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
        """A worker that may still import."""
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
        """Give a worker a job, when nothing is timed."""
        with self.still:
            worker.begin(job)

    def make_room(self, turn: int) -> None:
        """Where all use too much memory, end those that idle; else the job that began last raises ``Crowded``."""
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
        """Suspend every worker: while something is timed, nothing of ours computes."""
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
        """End all processes; no other is started."""
        self.closing = True
        ending = list(self._all)
        for worker in ending:
            worker.end()
        for worker in ending:
            worker.kill()
        with self._changed:
            self._changed.notify_all()


class WorkerSlot:
    """Used by one thread, which lives as long as its workers should (see ``WorkerProcess``)."""

    def __init__(self, workers: Workers, number: int = 0) -> None:
        self._workers = workers
        self._gpu = workers.device.visible(number)
        self._own: dict[str, WorkerProcess] = {}  # by role

    def do(self, job: Job[R], log: Path | None) -> JobResult[R]:
        """A job's result. What dies from outside is done once more, what gave way to others is done alone."""
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
        """Held while a job trains on the slot's GPU, which other slots may use, too."""
        lock = self._workers.trains.get(self._gpu)
        return lock if lock is not None and job.kind == "train" else contextlib.nullcontext()

    def _work(self, job: Job[R], log: Path | None, turn: int) -> JobResult[R]:
        """Seconds in which the worker was suspended are not the job's."""
        began, role = awake_seconds(), ROLES[job.kind]
        worker = self._own[role] = self._workers.take(turn, (role, self._gpu), job.limits, self._own.get(role))
        try:
            slept = worker.slept
            worker.wait_until_ready()
            ready = awake_seconds()
            self._workers.begin(worker, job)
            if job.verb == "inspect" and "score" not in self._own:  # what scores is imported meanwhile
                self._own["score"] = self._workers.start("score", self._gpu)
            answer = worker.answer(lambda: self._workers.make_room(turn))
            used = awake_seconds() - began - (worker.slept - slept)
        finally:
            append_log(log, worker.log_since())
        if "error" in answer:
            raise from_json(answer["error"])
        return JobResult(job.read(answer["result"]), max(0.0, used), ready - began)
