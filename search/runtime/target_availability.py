"""Which targets answer. An unavailable target is checked again after growing pauses; trials that need it wait."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

from litetuner.objectives.targets.target import Target

PAUSES = (5.0, 15.0, 30.0, 60.0, 120.0)  # seconds until the next check, by the number of failures in a row
LOOKS = 5  # the search ends after so many failures in a row, if there is nothing else to do


@dataclasses.dataclass
class UnavailableTarget:
    """A target that does not answer: why, its failures in a row (timings and checks), and when to check it next."""

    reason: str
    times: int
    next_look: float


@dataclasses.dataclass
class TargetAvailability:
    """Knows which of the ``targets`` (by name) are available. A target counts as available until a failure is reported.

    The threads of all trials report every failure (``lost``) and every answer (``answered``).
    """

    targets: Mapping[str, Target] = dataclasses.field(default_factory=dict)
    now: Callable[[], float] = time.monotonic
    pauses: tuple[float, ...] = PAUSES
    _known: dict[str, UnavailableTarget] = dataclasses.field(default_factory=dict)
    _away: set[str] = dataclasses.field(default_factory=set)
    _lock: threading.RLock = dataclasses.field(default_factory=threading.RLock)

    @property
    def away(self) -> dict[str, str]:
        """The reason for each unavailable target, by name."""
        with self._lock:
            return {name: self._known[name].reason for name in sorted(self._away)}

    def lost(self, name: str, reason: str) -> None:
        """Report that a timing or a check failed.

        Several trials may wait for the same target. Their failures count as one until the next check.
        """
        with self._lock:
            if name in self._away and self._known[name].next_look > self.now():
                return
            times = self._known[name].times + 1 if name in self._known else 1
            pause = self.pauses[min(times, len(self.pauses)) - 1]
            self._known[name] = UnavailableTarget(reason, times, self.now() + pause)
            self._away.add(name)

    def answered(self, name: str) -> None:
        """Report that a timing was answered.

        Only a timing proves that a target works: a device may pass the check and still fail to time a file.
        """
        with self._lock:
            self._known.pop(name, None)
            self._away.discard(name)

    def look(self) -> None:
        """Check the unavailable targets whose pause is over."""
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
        """Seconds until the next check of an unavailable target; 0 if all are available."""
        with self._lock:
            return max(0.0, min((self._known[name].next_look for name in self._away), default=0.0) - self.now())

    @property
    def hopeless(self) -> str | None:
        """The first unavailable target with at least ``LOOKS`` failures in a row, or ``None``."""
        with self._lock:
            return next((name for name in sorted(self._away) if self._known[name].times >= LOOKS), None)
