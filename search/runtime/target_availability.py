"""Which targets answer. One that went away is looked at again after growing pauses; what needs it waits meanwhile."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

from litetuner.objectives.targets.target import Target

PAUSES = (5.0, 15.0, 30.0, 60.0, 120.0)  # seconds until the next look, by how often in a row it did not answer
LOOKS = 5  # in a row without an answer and nothing else to do: then the search ends


@dataclasses.dataclass
class UnavailableTarget:
    """A target that does not answer: why, how often in a row (timings and looks), and when it is looked at next."""

    reason: str
    times: int
    next_look: float


@dataclasses.dataclass
class TargetAvailability:
    """``targets`` by name. Told of every loss and of every answer, by the threads of all trials; what is not told is taken
    to be there.
    """

    targets: Mapping[str, Target] = dataclasses.field(default_factory=dict)
    now: Callable[[], float] = time.monotonic
    pauses: tuple[float, ...] = PAUSES
    _known: dict[str, UnavailableTarget] = dataclasses.field(default_factory=dict)
    _away: set[str] = dataclasses.field(default_factory=set)
    _lock: threading.RLock = dataclasses.field(default_factory=threading.RLock)

    @property
    def away(self) -> dict[str, str]:
        """Why each target that is away went."""
        with self._lock:
            return {name: self._known[name].reason for name in sorted(self._away)}

    def lost(self, name: str, reason: str) -> None:
        """A timing or a look was not answered. Several trials may have waited for the same target: that is one event."""
        with self._lock:
            if name in self._away and self._known[name].next_look > self.now():
                return
            times = self._known[name].times + 1 if name in self._known else 1
            pause = self.pauses[min(times, len(self.pauses)) - 1]
            self._known[name] = UnavailableTarget(reason, times, self.now() + pause)
            self._away.add(name)

    def answered(self, name: str) -> None:
        """A timing was answered, which is the only proof: a device may say that it is there and fail at work."""
        with self._lock:
            self._known.pop(name, None)
            self._away.discard(name)

    def look(self) -> None:
        """See whether those whose time has come are there again."""
        with self._lock:
            due = [name for name in sorted(self._away) if self._known[name].next_look <= self.now()]
        for name in due:
            failed = [finding for finding in self.targets[name].check() if finding.status == "fails"]
            if failed:
                self.lost(name, failed[0].text)
            else:
                self._away.discard(name)

    @property
    def seconds_to_look(self) -> float:
        """How long until the next look at a target that is away; 0 where none is."""
        with self._lock:
            return max(0.0, min((self._known[name].next_look for name in self._away), default=0.0) - self.now())

    @property
    def hopeless(self) -> str | None:
        """A target that did not answer ``LOOKS`` times in a row, if there is one."""
        with self._lock:
            return next((name for name in sorted(self._away) if self._known[name].times >= LOOKS), None)
