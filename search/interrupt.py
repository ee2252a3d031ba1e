"""What ends a search from outside: Ctrl-C and its siblings."""

import _thread  # what starts threads without the lock that the interrupted code may hold
import contextlib
import enum
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from litetuner.search.listener import Listener

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Part(enum.Enum):
    """What a search does, as far as it matters to whoever ends it."""

    OTHER = enum.auto()  # is given up
    TRIALS = enum.auto()  # those that run are finished
    FINALS = enum.auto()  # are left out of the report


class Interrupt:
    """Ctrl-C or SIGTERM in a search: once, finish the trial that runs and report; twice, or where no trial runs, stop now.

    So does SIGHUP at once: nobody reads what would be said.
    """

    def __init__(self, listener: Listener) -> None:
        self.asked = 0  # how often
        self.now = False  # without the report
        self._part = Part.OTHER
        self._stop: Callable[[int, FrameType | None], object] | None = None  # where the process is all ours
        self._listener = listener

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked == 1 and number != signal.SIGHUP and self._part is not Part.OTHER:
            if self._part is Part.FINALS:
                raise KeyboardInterrupt
            # Not from here: a signal may come in the middle of a line that is being printed, and printing is not reentrant.
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
        """This part of the search runs in here."""
        self._part = part
        try:
            yield
        finally:
            self._part = Part.OTHER

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals while a search runs; only a process's main thread can. What is ignored (``nohup``) stays so."""
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
