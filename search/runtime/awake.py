"""A clock that counts only the time in which this process runs.

Limits and budgets use it: they must not count time in which the process, its container or the machine was suspended.
"""

import functools
import os
import threading
import time
from collections.abc import Callable

PERIOD_SECONDS = 0.5  # between two ticks
GAP_SECONDS = 2.0  # between two ticks; during a longer gap, this process did not run


class AwakeClock:
    """``now`` without long gaps between its ticks. Its owner must call ``tick`` every ``PERIOD_SECONDS``."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._lock = now, threading.Lock()
        self._last, self._stopped = now(), 0.0

    def tick(self) -> float:
        """The time of this clock in seconds: ``now`` without all gaps longer than ``GAP_SECONDS``."""
        with self._lock:
            now = self._now()
            if now - self._last > GAP_SECONDS:
                self._stopped += now - self._last
            self._last = now
            return now - self._stopped


def awake_seconds() -> float:
    """Like ``time.monotonic``, but counts only the time in which this process ran."""
    return _clock().tick()


@functools.cache
def _clock() -> AwakeClock:
    clock = AwakeClock()

    def tick() -> None:
        while True:
            time.sleep(PERIOD_SECONDS)
            clock.tick()

    threading.Thread(target=tick, name="litetuner clock", daemon=True).start()
    return clock


os.register_at_fork(after_in_child=_clock.cache_clear)  # the thread does not exist in a forked process
