"""Manages the slots of a cluster, on the machine of the search.

Each slot does one job at a time. A slot that dies is replaced.
"""

import contextlib
import dataclasses
import queue
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from litetuner.objectives.cluster import load_ray
from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.runtime.cluster.answer import Shipment
from litetuner.search.runtime.cluster.node_actor import DRIVER_SECONDS, NodeSlot
from litetuner.search.runtime.machine import CORES_EACH, TRIAL_BYTES, package_versions
from litetuner.spaces.errors import HostError, Lost

WAIT_SECONDS = 300.0  # how long a job waits while the cluster has no slot; an autoscaler may start a node meanwhile
LOOK_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Needs:
    """What Ray reserves for a slot: cores, GPUs, bytes of memory."""

    cpus: float
    gpus: int = 0
    memory: float = TRIAL_BYTES

    def fit(self, resources: dict[str, float]) -> int:
        """How many slots fit on a node with these resources."""
        counts = [int(resources.get("CPU", 0.0) / self.cpus), int(resources.get("memory", 0.0) / self.memory)]
        return min(counts + ([int(resources.get("GPU", 0.0)) // self.gpus] if self.gpus else []))


def count_slots(nodes: list[dict[str, Any]], gpus: int = 0) -> tuple[Needs, int]:
    """What each slot needs, and how many slots fit on these nodes (from ``ray.nodes()``).

    Raises ``HostError`` if no slot fits.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    most = max((resources.get("CPU", 0.0) for resources in alive), default=0.0)
    needs = Needs(min(CORES_EACH, most) or CORES_EACH, gpus)
    count = sum(needs.fit(resources) for resources in alive)
    if not count:
        raise HostError(
            f"no node of the Ray cluster has room for a trial ({needs.cpus:g} cores and {needs.memory / 1e9:g} GB). "
            "`ray status` shows what the nodes have."
        )
    return needs, count


@dataclasses.dataclass(frozen=True)
class Slot:
    """A Ray actor, the name of its node, and Ray's id of the node."""

    actor: Any
    node: str
    node_id: str


class Slots:
    """One slot for each parallel trial. Slots that do not fit yet wait inside Ray, and start when there is room."""

    def __init__(self, shipment: Shipment, needs: Needs, count: int, kind: type[NodeSlot] = NodeSlot) -> None:
        self._needs, self._kind = needs, kind
        self._ray, self._lasting = load_ray(), shipment.store is not None
        self._shipment = self._ray.put(shipment)
        self._idle: queue.LifoQueue[Slot] = queue.LifoQueue()  # the slot used last comes first: its workers run
        self._all: dict[Any, Slot | None] = {}  # by actor; ``None`` until it has answered
        self._lock = threading.Lock()
        self._wrong: str | None = None  # why the cluster cannot be used
        self.closing = False
        self._waiting = self.longest = 0  # jobs that wait for a slot: now, and at most
        for _ in range(count):
            self._start()
        if self._lasting:
            threading.Thread(target=self._speak, daemon=True).start()

    def _speak(self) -> None:
        """Tell the slots regularly that the search is alive. With a result store, slots can outlive a search."""
        while not self.closing:
            with self._lock:
                actors = [actor for actor, slot in self._all.items() if slot is not None]
            for actor in actors:
                actor.hear.remote()
            time.sleep(DRIVER_SECONDS / 4)

    def _start(self) -> None:
        options: dict[str, Any] = {
            "num_cpus": self._needs.cpus,
            "num_gpus": self._needs.gpus,
            "memory": int(self._needs.memory),
        }
        if self._lasting:
            options |= {"lifetime": "detached", "name": f"litetuner-{secrets.token_hex(8)}"}
        remote = self._ray.remote(self._kind)
        actor = remote.options(**options, max_concurrency=4, scheduling_strategy="SPREAD").remote(self._shipment)
        with self._lock:
            self._all[actor] = None
        actor.describe.remote().future().add_done_callback(lambda told: self._started(actor, told))

    def _started(self, actor: Any, told: Any) -> None:
        """Register a new slot that has answered, or handle its failure to start."""
        error = told.exception()
        described = {} if error is not None else told.result()
        differing = "" if error is not None else _differing(described["versions"])
        with self._lock:
            if error is None and not differing:
                self._all[actor] = slot = Slot(actor, described["node"], described["node_id"])
                self._idle.put(slot)
                return
            self._all.pop(actor, None)
            if differing:
                self._wrong = (
                    f"{described['node']} has other versions than this machine: {differing}. Install the same."
                )
            elif "creation task" in str(error):  # the slot itself failed; else its node died
                self._wrong = f"a slot does not start: {str(error)[-800:]}"
            again = not self.closing and self._wrong is None
        if again:
            self._start()

    def take(self) -> Slot:
        """Wait for a free slot and take it.

        Raises ``Lost`` if the cluster has no slot for ``WAIT_SECONDS`` or the search ends, and ``HostError`` if slots
        cannot start.
        """
        if not self.closing and self._wrong is None:
            with contextlib.suppress(queue.Empty):
                return self._idle.get_nowait()
        with self._lock:
            self._waiting += 1
            self.longest = max(self.longest, self._waiting)
        try:
            return self._wait()
        finally:
            with self._lock:
                self._waiting -= 1

    def _wait(self) -> Slot:
        began = awake_seconds()
        while not self.closing:
            if self._wrong is not None:
                raise HostError(f"the Ray cluster cannot be used: {self._wrong}")
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=LOOK_SECONDS)
            if self.ready:  # there are slots, but other jobs use them
                began = awake_seconds()
            elif awake_seconds() - began > WAIT_SECONDS:
                raise Lost(f"no node of the cluster had room for a trial for {WAIT_SECONDS:.0f} s")
        raise Lost("the search ends")

    def give(self, slot: Slot) -> None:
        """Give back a slot that can be used again."""
        self._idle.put(slot)

    def replace(self, slot: Slot) -> None:
        """Remove a dead slot and start a new one. Ray starts it on any node that has room."""
        with self._lock:
            known = self._all.pop(slot.actor, None)
        self._ray.kill(slot.actor)
        if known is not None and not self.closing:
            self._start()

    @property
    def ready(self) -> int:
        """The number of slots that have started."""
        with self._lock:
            return sum(slot is not None for slot in self._all.values())

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Suspend the workers of all slots."""
        with self._lock:
            actors = [actor for actor, slot in self._all.items() if slot is not None]
        try:
            self._tell([actor.suspend.remote() for actor in actors])
            yield
        finally:
            self._tell([actor.resume.remote() for actor in actors])

    def _tell(self, sent: list[Any], seconds: float | None = None) -> None:
        """Wait until all of these calls have ended, at most ``seconds``. A call of a dead slot counts as ended."""
        if sent:
            self._ray.wait(sent, num_returns=len(sent), timeout=seconds)

    def close(self, seconds: float = 5.0) -> None:
        """End all slots, with their processes and files on the nodes. Waits at most ``seconds`` for the nodes."""
        with self._lock:
            self.closing, actors = True, dict(self._all)
        self._tell([actor.leave.remote() for actor, slot in actors.items() if slot is not None], seconds)
        for actor in actors:
            self._ray.kill(actor)


def _differing(there: dict[str, str]) -> str:
    here = package_versions()
    names = sorted(name for name in here | there if here.get(name) != there.get(name))
    return ", ".join(f"{name} {there.get(name, 'missing')} instead of {here.get(name, 'none')}" for name in names)
