"""Runs jobs on the nodes of a Ray cluster. No shared file system is needed: Ray transfers the files of each job."""

import contextlib
import functools
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

from litetuner.objectives.cluster import connect, disconnect, load_ray
from litetuner.objectives.targets.host import Host
from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.runtime.cluster.answer import STORES, Answer
from litetuner.search.runtime.cluster.node_actor import NodeSlot
from litetuner.search.runtime.cluster.shipping import Shipping, pack
from litetuner.search.runtime.cluster.slot_pool import Slot, Slots, count_slots
from litetuner.search.runtime.cluster.store import ResultStore
from litetuner.search.runtime.dispatcher import Dispatcher, settle
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.executors.local import Local, sources_of
from litetuner.search.runtime.jobs import JobResult, append_log
from litetuner.spaces.errors import HostError, Lost, TimeUp, from_json
from litetuner.spaces.jobs.device import choose_device
from litetuner.spaces.jobs.job import Job, R
from litetuner.spaces.store import Store

# Losses on one node within this time are one event.
# Ray took up to 20 s to declare a node dead after its raylet was killed.
EVENT_SECONDS = 30.0
# How often a job that belongs to no trial is tried. A trial whose node dies is LOST, and asked again as a whole.
TRIES = 3


class Ray(Executor):
    """One slot for each parallel trial: a Ray actor with its own worker processes, like those of executor ``local``.

    The inspection runs on the machine of the search, because it reads the user's files. Timings are also started there
    (a target may use a node of the cluster).
    """

    name = "ray"
    elsewhere = True
    slot: ClassVar[type[NodeSlot]] = NodeSlot

    def __init__(self, folder: RunFolder, config: Config) -> None:
        connect(config.ray_address)
        self._ray = load_ray()
        try:
            device = choose_device(config.device, cluster_gpus(self._ray.cluster_resources()))
            self._needs, count = count_slots(self._ray.nodes(), len(device.gpus[:1]))
            if "parallel" not in config.model_fields_set:
                config = config.model_copy(update={"parallel": count})
            super().__init__(folder, config)
            self.device = device
            self._check_targets()
        except HostError:
            disconnect()
            raise
        self._here = self.make_here()
        self._store = None if config.store is None else ResultStore(Path(config.store), folder.id)
        self._jobs = Dispatcher("litetuner jobs", config.parallel)
        self._shipping, self._lock = Shipping(folder), threading.Lock()
        self._struck: dict[str, float] = {}  # time of each node's last loss, by node id

    @classmethod
    def prepare(cls, config: Config) -> None:
        """Connect to the cluster, whose devices may be targets."""
        connect(config.ray_address)

    def make_here(self) -> Executor:
        """The executor for inspections and timings, on the machine of the search."""
        alone = self.config.model_copy(update={"parallel": 1, "device": "auto"})
        return Here(self.folder, alone, self.quiet if self.config.ray_address == "local" else contextlib.nullcontext)

    def _check_targets(self) -> None:
        """Raise ``HostError`` if latency would be measured while trainings run that cannot be suspended."""
        if self.config.ray_address != "local" and any(
            isinstance(item.target, Host) for item in self.config.named_targets
        ):
            raise HostError(
                "the target host is this machine, which may be a node of the Ray cluster, where others compute. Start "
                "`litetuner worker --address ADDRESS --target host` on a machine for timings only, and search with "
                "--target ray:host."
            )

    @functools.cached_property
    def slots(self) -> Slots:
        """The slots of the cluster. They are started with the first job that needs them."""
        shipment = pack(self.folder, self.config, sources_of(self.config), self.device.kind)
        return Slots(shipment, self._needs, self.config.parallel, self.slot)

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        if job.kind in ("inspect", "time"):
            return self._here.submit(job, log)
        with self._lock:
            slots = self.slots
        promised: Future[JobResult[R]] = Future()  # its state is running as soon as a slot has the job
        queued = self._jobs.submit(lambda: settle(promised, lambda: self._do(slots, job, log, promised)))
        queued.add_done_callback(lambda done: done.cancelled() and promised.cancel())
        return promised

    def _do(self, slots: Slots, job: Job[R], log: Path | None, promised: Future[JobResult[R]]) -> JobResult[R]:
        tries = 1 if log is not None else TRIES
        while True:
            tries -= 1
            try:
                return self._once(slots, job, log, promised)
            except Lost as error:
                if not tries or isinstance(error, TimeUp) or slots.closing:
                    raise

    def _once(self, slots: Slots, job: Job[R], log: Path | None, promised: Future[JobResult[R]]) -> JobResult[R]:
        """The result of a job, from the result store or a free slot. Raises ``Lost`` if its node or actor dies."""
        if self._store is not None and (kept := self._store.find(job)) is not None:
            return self._read(job, kept)
        files, slot = self._shipping.files(job), slots.take()
        try:
            if not promised.running():
                promised.set_running_or_notify_cancel()
            with self.computing():  # waits while a timing runs on this machine
                asked = slot.actor.do.remote(job, files)
            answer: Answer = self._ray.get(asked)
        except self._ray.exceptions.RayError as error:
            slots.replace(slot)
            if isinstance(error, self._ray.exceptions.RayTaskError) and not _lost_object(self._ray, error):
                raise  # a bug, not a loss
            if slots.closing:
                raise Lost("the search ends") from error
            raise Lost(self._why(slot, error)) from error
        except BaseException:
            slots.replace(slot)
            raise
        slots.give(slot)
        append_log(log, answer.log)
        return self._read(job, answer, slot.node)

    def _read(self, job: Job[R], answer: Answer, node: str = "") -> JobResult[R]:
        """The result in an answer. Also writes the files that the job made into the run folder."""
        if answer.error is not None:
            raise from_json(answer.error)
        assert answer.result is not None  # there is no error
        for path, content in answer.files.items():
            self._files(path).put(content, Path(path).suffix)
        return JobResult(job.read(answer.result), answer.seconds, answer.start_seconds, node=node)

    def _files(self, path: str) -> Store:
        return dict(zip(STORES, (self.folder.blobs, self.folder.artifacts), strict=True))[path.rpartition("/")[0]]

    def _why(self, slot: Slot, error: Exception) -> str:
        """Why a job is lost, in words. The loss of a node is logged as one event, even if it had several jobs."""
        now = awake_seconds()
        with self._lock:
            if now - self._struck.get(slot.node_id, -EVENT_SECONDS) >= EVENT_SECONDS:
                self.folder.note("node lost", node=slot.node, id=slot.node_id, reason=type(error).__name__)
            self._struck[slot.node_id] = now
        self._shipping.forget()
        return f"{slot.node}: the node, or litetuner's process on it, died ({type(error).__name__})"

    def longest_queues(self) -> dict[str, int]:
        return self._here.longest_queues() | {"workers": self.slots.longest if "slots" in self.__dict__ else 0}

    @contextlib.contextmanager
    def quiet(self) -> Any:
        """Suspend the workers of all slots."""
        with self.slots.quiet() if "slots" in self.__dict__ else contextlib.nullcontext():
            yield

    def computing(self) -> contextlib.AbstractContextManager[object]:
        return self._here.computing()

    def close(self) -> None:
        self._jobs.close()
        if "slots" in self.__dict__:
            self.slots.close()
        self._here.close()
        disconnect()


class Here(Local):
    """Runs jobs on the machine of the search.

    A timing on this machine also enters the context manager that ``others()`` returns. It suspends the slots if they
    run on this machine.
    """

    def __init__(self, folder: RunFolder, config: Config, others: Any) -> None:
        super().__init__(folder, config)
        self._others = others

    @contextlib.contextmanager
    def quiet(self) -> Any:
        with super().quiet(), self._others():
            yield


def cluster_gpus(resources: Mapping[str, float]) -> tuple[str, ...]:
    """A number for each GPU of a cluster. Ray tells each slot which GPU is its own."""
    return tuple(map(str, range(int(resources.get("GPU", 0)))))


def _lost_object(ray: Any, error: Any) -> bool:
    """True if a node needed an object that no longer exists in the cluster."""
    return isinstance(getattr(error, "cause", None), ray.exceptions.RayError)
