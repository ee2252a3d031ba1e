"""Ctrl-C and its siblings: what runs is finished first, or all ends now."""

from __future__ import annotations

import _thread  # what starts threads without the lock that the interrupted code may hold
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litetuner.search.listener import Listener

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CLEANING_SECONDS = 1.0  # after these the end is not waited for any more
CODE = 130
WORDS = "interrupted; repeat the command to resume."


class Stop:
    """The end of a command by a signal, for a process that is all ours: soon, whatever runs or comes.

    The first one raises ``KeyboardInterrupt``. What is cleaned up then is not interrupted by more of them, and left where it
    takes too long: a record is whole or not there, and the keeper ends what workers leave.
    """

    def __init__(self) -> None:
        self._said = self._begun = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._begun:
            self._begun = True
            _thread.start_new_thread(self._leave, ())
            raise KeyboardInterrupt

    def _leave(self) -> None:
        time.sleep(CLEANING_SECONDS)
        with contextlib.suppress(OSError):  # nobody reads it
            if os.isatty(2):
                os.write(2, b"\x1b[?25h")  # a display of progress hides the cursor
            if not self._said:
                os.write(2, f"{WORDS}\n".encode())
        os._exit(CODE)

    def install(self) -> None:
        """Handle signals that do their default; not what is ignored (``nohup``)."""
        for number in SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self)

    def said(self) -> None:
        """The command has printed its end, and only the exit is left. Python would set the signals to their defaults there."""
        self._said = True
        for number in SIGNALS:
            if signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_IGN if self._begun else lambda *_: os._exit(CODE))


class Interrupt:
    """Ctrl-C or SIGTERM in a search: once, finish the trial that runs and report; twice, or where no trial runs, stop now.

    So does SIGHUP at once: nobody reads what would be said.
    """

    def __init__(self, listener: Listener) -> None:
        self.asked = 0  # how often
        self.now = False  # without the report
        self._finishing = self._measuring = False
        self._stop: Stop | None = None  # where one is installed
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
        self._stop = next((handler for handler in before.values() if isinstance(handler, Stop)), None)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
