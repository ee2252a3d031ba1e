"""The clock of a run: wall time over all sessions, and the seconds that each kind of job used."""

import resource
from collections.abc import Callable, Mapping
from typing import Any

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.trial import State, Trial

KINDS = ("train", "convert", "score", "time")
SLOTS = "slots"
CPU = "cpu"
NODE = "node:"  # prefix of the name of a cluster node
WHOSE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class Clock:
    """Adds this session's seconds to those of earlier sessions. ``parallel``: how many trials may run at once."""

    def __init__(self, folder: RunFolder, parallel: int = 1) -> None:
        record = folder.read("clock") or {}
        self._folder = folder
        self._before: dict[str, float] = record.get("seconds", {})
        self._queues_before: dict[str, int] = record.get("queues", {})
        self._parallel = parallel
        self._own = dict.fromkeys(KINDS, 0.0)
        self.nodes: Mapping[str, float] = {}  # seconds of this session's jobs, by node name
        self.longest_queues: Callable[[], Mapping[str, int]] = dict  # longest queues of this session, see ``Executor``
        self._started, self._cpu_before = awake_seconds(), _cpu_seconds()

    @property
    def wall(self) -> float:
        return self._before.get("wall", 0.0) + awake_seconds() - self._started

    def count(self, seconds: Mapping[Any, float]) -> None:
        """Add the seconds that jobs used, by kind."""
        for kind in KINDS:
            self._own[kind] += seconds.get(kind, 0.0)

    def seconds(self) -> dict[str, float]:
        """The seconds of the whole run, over all sessions, by name.

        ``train``, ``convert``, ``score`` and ``time`` are the seconds of jobs. ``wall`` is wall time. ``slots`` is wall
        time multiplied by the number of trials that may run at once; ``other`` is the part of it that no job used.
        ``cpu`` is the CPU time of this process and of its children that have ended. ``node:NAME`` is the time of the
        jobs on one cluster node.
        """
        found = {kind: self._before.get(kind, 0.0) + self._own[kind] for kind in KINDS}
        wall, own = self.wall, awake_seconds() - self._started
        before = self._before.get("wall", 0.0)
        slots = self._before.get(SLOTS, before) + own * self._parallel
        cpu = self._before.get(CPU, 0.0) + _cpu_seconds() - self._cpu_before
        found |= {"other": max(0.0, slots - sum(found.values())), "wall": wall, SLOTS: slots, CPU: cpu}
        names = {name.removeprefix(NODE) for name in self._before if name.startswith(NODE)} | set(self.nodes)
        return found | {
            NODE + name: self._before.get(NODE + name, 0.0) + self.nodes.get(name, 0.0) for name in sorted(names)
        }

    def queues(self) -> dict[str, int]:
        """The longest queues of the whole run, for workers and for each target, by name. Empty queues are left out."""
        now, before = self.longest_queues(), self._queues_before
        found = {name: max(now.get(name, 0), before.get(name, 0)) for name in sorted(now.keys() | before.keys())}
        return {name: length for name, length in found.items() if length}

    def save(self) -> None:
        seconds = {name: round(value, 3) for name, value in self.seconds().items()}
        self._folder.write("clock", {"seconds": seconds, "queues": self.queues()})


def _cpu_seconds() -> float:
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, WHOSE))


def left(limit: float | None, clock: Clock) -> float:
    """Seconds left of a time budget; infinite without a budget."""
    return float("inf") if limit is None else limit - clock.wall


def counted(trials: list[Trial]) -> int:
    """How many trials count towards ``--trials``: all except lost trials and duplicates (``Trial.duplicate_of``)."""
    return sum(1 for trial in trials if trial.duplicate_of is None and trial.state is not State.LOST)
