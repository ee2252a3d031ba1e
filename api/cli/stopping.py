"""Ctrl-C and its siblings on the command line: the process ends soon, whatever it does."""

import _thread  # what starts threads without the lock that the interrupted code may hold
import contextlib
import os
import signal
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CLEANING_SECONDS = 1.0  # after these the end is not waited for any more
CODE = 130
WORDS = "interrupted; repeat the command to resume."


class Stop:
    """The end of a command by a signal, for a process that is all ours: soon, whatever runs or comes.

    The first one raises ``KeyboardInterrupt``. What is cleaned up then is not interrupted by more of them, and left where it
    takes too long: a record is whole or not there, and the keeper ends what workers leave.
    """

    ends_process = True  # a search that is told to stop now asks it, where it is installed

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
        self._said, begun = True, self._begun
        for number in SIGNALS:
            if signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_IGN if begun else lambda *_: os._exit(CODE))
