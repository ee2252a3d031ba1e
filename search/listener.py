"""Who watches a search (every method may be left as it is), and what ends one: Ctrl-C and its siblings."""

from __future__ import annotations

import _thread  # what starts threads without the lock that the interrupted code may hold
import contextlib
import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from litetuner.search.trial import Trial

if TYPE_CHECKING:
    from litetuner.search.config.config import Config
    from litetuner.search.runs.folder import RunFolder
    from litetuner.search.runs.records import Inspection


@dataclasses.dataclass(frozen=True)
class RunningTrial:
    """A trial in flight: the kind of job that it waits for (``train``), and since when, in seconds of ``time.monotonic``.

    ``queued``: that job has not begun, since all slots, or the target, are busy.
    """

    number: int
    label: str
    job: str | None
    since: float
    queued: bool = False

    @property
    def words(self) -> str:
        """``12 int8 (scoring)``, ``13 int8 (queued for timing)``."""
        doing = ("queued for " if self.queued else "") + DOING.get(self.job or "", "")
        return f"{self.number} {self.label}" + (f" ({doing})" if doing else "")


DOING = {"train": "training", "convert": "converting", "score": "scoring", "time": "timing"}


class Listener:
    """Told of what happens, in this order. The loop does not wait for an answer."""

    def opened(self, folder: RunFolder, config: Config) -> None:
        """The run folder is open, and locked."""

    def advised(self, sentence: str) -> None:
        """Something that the user should know before compute is used."""

    def doing(self, what: str) -> None:
        """What is being done now, in words."""

    def running(self, trials: Sequence[RunningTrial]) -> None:
        """What each trial in flight does now: told when it has changed, at most once a second."""

    def inspected(self, inspection: Inspection) -> None:
        """Model and data were read and checked; no compute has been used on candidates."""

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        """A trial has ended; ``trials`` are all so far."""

    def interrupted(self, what: str) -> None:
        """A signal asks for the end: what is finished before it, in words. Told from a thread of its own."""
        self.doing(what)

    def stopping(self, reason: str) -> None:
        """The loop ends, and why."""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Ctrl-C or SIGTERM in a search: once, finish the trial that runs and report; twice, or where no trial runs, stop now.

    So does SIGHUP at once: nobody reads what would be said.
    """

    def __init__(self, listener: Listener) -> None:
        self.asked = 0  # how often
        self.now = False  # without the report
        self._finishing = self._measuring = False
        self._stop: Callable[[int, FrameType | None], object] | None = None  # where the process is all ours
        self._listener = listener

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked == 1 and number != signal.SIGHUP and (self._finishing or self._measuring):
            if self._measuring:
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
    def finishing(self) -> Iterator[None]:
        """What runs in here is worth finishing."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """What runs in here may be left out of the report."""
        self._measuring = True
        try:
            yield
        finally:
            self._measuring = False

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
