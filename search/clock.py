"""The clock of a run: wall time over all resumes, and where it went."""

from collections.abc import Mapping
from typing import Any

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.trial import State, Trial

KINDS = ("train", "convert", "score", "time")
OVERLAPPED = "train_overlapped"


class Clock:
    """Counts from what earlier sessions of the run had used. What ran beside other work took no wall time."""

    def __init__(self, folder: RunFolder) -> None:
        record = folder.read("clock") or {}
        self._folder = folder
        self._before: dict[str, float] = record.get("seconds", {})
        self._own = dict.fromkeys((*KINDS, OVERLAPPED), 0.0)
        self._started = awake_seconds()

    @property
    def wall(self) -> float:
        return self._before.get("wall", 0.0) + awake_seconds() - self._started

    def count(self, seconds: Mapping[Any, float], overlapped: float = 0.0) -> None:
        """Add what jobs took, by kind; nobody waited for ``overlapped`` of the seconds of training."""
        for kind in KINDS:
            self._own[kind] += seconds.get(kind, 0.0)
        self._own["train"] -= overlapped
        self._own[OVERLAPPED] += overlapped

    def seconds(self) -> dict[str, float]:
        """Seconds by kind, ``other`` and ``wall``, of the whole run."""
        found = {kind: self._before.get(kind, 0.0) + self._own[kind] for kind in KINDS}
        wall = self.wall
        apart = self._before.get(OVERLAPPED, 0.0) + self._own[OVERLAPPED]
        return found | {"other": max(0.0, wall - sum(found.values())), "wall": wall, OVERLAPPED: apart}

    def save(self) -> None:
        self._folder.write("clock", {"seconds": {name: round(value, 3) for name, value in self.seconds().items()}})


def left(limit: float | None, clock: Clock) -> float:
    """Seconds left of a time budget; endless without one."""
    return float("inf") if limit is None else limit - clock.wall


def counted(trials: list[Trial]) -> int:
    """How many trials count towards ``--trials``: those that were not lost and not answered from an earlier one."""
    return sum(1 for trial in trials if trial.duplicate_of is None and trial.state is not State.LOST)
