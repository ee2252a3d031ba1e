"""Handling of Ctrl-C and similar signals on the command line: the process ends soon, whatever it is doing."""

import _thread  # starts threads without a lock that the interrupted code may hold
import contextlib
import os
import signal
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CLEANING_SECONDS = 1.0  # after this time, the process ends without waiting for the cleanup
CODE = 130
WORDS = "interrupted; repeat the command to resume."


class Stop:
    """A signal handler that ends the command soon. It is only for a process that belongs to litetuner alone.

    The first signal raises ``KeyboardInterrupt``. Further signals do not interrupt the cleanup. A cleanup that takes
    too long is abandoned: this is safe, because records are written atomically, and the keeper ends the processes of
    workers.
    """

    ends_process = True  # marks the handler that a search calls when it has to stop at once

    def __init__(self) -> None:
        self._said = self._begun = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._begun:
            self._begun = True
            _thread.start_new_thread(self._leave, ())
            raise KeyboardInterrupt

    def _leave(self) -> None:
        time.sleep(CLEANING_SECONDS)
        with contextlib.suppress(OSError):  # standard error may be closed
            if os.isatty(2):
                os.write(2, b"\x1b[?25h")  # shows the cursor, which the progress display hides
            if not self._said:
                os.write(2, f"{WORDS}\n".encode())
        os._exit(CODE)

    def install(self) -> None:
        """Handle all signals that have their default handler, but not ignored signals (``nohup``)."""
        for number in SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self)

    def said(self) -> None:
        """Call this when the command has printed its result and only has to exit.

        At exit, Python would reset the signals to their defaults.
        """
        self._said, begun = True, self._begun
        for number in SIGNALS:
            if signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_IGN if begun else lambda *_: os._exit(CODE))
