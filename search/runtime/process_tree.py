"""A process with all its descendants, also those that left its session or outlived it."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Sequence

import psutil

MARK = "LITETUNER_WORKER"  # an environment variable, which descendants inherit
END_SECONDS = 5.0  # so long do they get to disappear


class ProcessTree:
    """``pid`` leads a process group of its own, and was started with ``mark`` as its ``MARK``."""

    def __init__(self, pid: int, mark: str) -> None:
        self._leader, self._mark = psutil.Process(pid), mark
        self._seen = {self._leader}

    def members(self) -> list[psutil.Process]:
        """All that run now; one whose parent ended is known from an earlier call."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen.update(self._leader.children(recursive=True))
        self._seen = {process for process in self._seen if process.is_running()}
        return list(self._seen)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all: to the group at once, then to those that left it."""
        members, group = self.members(), self._leader.pid
        if any(_group(process) == group for process in members):  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        _send([process for process in members if _group(process) != group], number)

    def kill(self) -> None:
        """End all, those included that nobody has seen: whose parents ended, and who know the mark only."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + END_SECONDS
        while (left := self._marked()) and time.monotonic() < deadline:
            for number in (signal.SIGSTOP, signal.SIGKILL):  # what is stopped starts no other
                _send(left, number)

    def _marked(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def resident_bytes(processes: Sequence[psutil.Process], limit: float = math.inf) -> int:
    """The memory of processes; where it seems more than ``limit``, pages that they share count once."""
    found = sum(_memory(process, "memory_info", "rss") for process in processes)
    return found if found <= limit else sum(_memory(process, "memory_full_info", "pss") for process in processes)


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _memory(process: psutil.Process, method: str, field: str) -> int:
    try:
        found = getattr(process, method)()
    except psutil.Error:
        return 0
    return int(getattr(found, field, found.rss))  # only Linux knows what processes share
