"""Signals that end a search: Ctrl-C (SIGINT), SIGTERM and SIGHUP."""

import _thread  # starts a thread without the lock that the interrupted code may hold
import contextlib
import enum
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from litetuner.search.listener import Listener

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Part(enum.Enum):
    """The part of the search that runs now. It decides what the first signal does."""

    OTHER = enum.auto()  # stop now
    TRIALS = enum.auto()  # finish the running trials, then report
    FINALS = enum.auto()  # skip the final measurements that are left, then report


class Interrupt:
    """Handles Ctrl-C, SIGTERM and SIGHUP during a search.

    The first Ctrl-C or SIGTERM ends the search with a report: running trials are finished, or final measurements are
    skipped. The second one stops the process now, and so does the first one outside of trials and final measurements.
    SIGHUP always stops now, because nobody would read the report.
    """

    def __init__(self, listener: Listener) -> None:
        self.asked = 0  # number of signals so far
        self.now = False  # True: stop without the report
        self._part = Part.OTHER
        self._stop: Callable[[int, FrameType | None], object] | None = None  # the command line's handler
        self._listener = listener

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked == 1 and number != signal.SIGHUP and self._part is not Part.OTHER:
            if self._part is Part.FINALS:
                raise KeyboardInterrupt
            # Print in another thread: the signal may interrupt a print in this one, and printing is not reentrant.
            words = "finishing what runs, then the report (Ctrl-C again stops now)"
            _thread.start_new_thread(self._listener.interrupted, (words,))
            return
        self.now = True
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop(number, frame)

    def reason(self) -> str | None:
        return "interrupted" if self.asked else None

    @contextlib.contextmanager
    def during(self, part: Part) -> Iterator[None]:
        """Mark that this part of the search runs inside the ``with`` block."""
        self._part = part
        try:
            yield
        finally:
            self._part = Part.OTHER

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals during a search; only the main thread can do so. Ignored signals (``nohup``) stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN)
        before = {number: signal.signal(number, self) for number in numbers}
        self._stop = next((item for item in before.values() if callable(item) and hasattr(item, "ends_process")), None)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
