"""A process and all its descendants, also those that left its session or still run after it ended."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterable, Iterator

import psutil

from litetuner.objectives.runner.machine import read_text
from litetuner.search.runtime.keeper import keeper

MARK = "LITETUNER_WORKER"  # an environment variable, which descendants inherit
END_SECONDS = 5.0  # ``end_marked`` gives up after this time


class ProcessTree:
    """Process ``pid`` and its descendants. It leads its own process group and has ``MARK=mark`` in its environment."""

    def __init__(self, pid: int, mark: str) -> None:
        self._leader, self._mark = psutil.Process(pid), mark
        self._seen = {self._leader}
        self._tasks = _tasks()
        self._shared = 0  # bytes of shared pages that were counted more than once at the last check

    def members(self) -> list[psutil.Process]:
        """All processes that run now. A process whose parent has ended is known from an earlier call."""
        with contextlib.suppress(psutil.NoSuchProcess):
            new = set(self._leader.children(recursive=True)) - self._seen
            self._seen |= new
            for process in new:
                keeper().tell(f"{process.pid} {process.create_time()}")
        self._seen = {process for process in self._seen if process.is_running()}
        return list(self._seen)

    def grew(self, many: int) -> bool:
        """True if this machine has over ``many`` more threads than at the last ``True`` (at first: than at the start).

        This check is cheap. Counting the members of the tree takes long if the machine has many processes.
        """
        now = _tasks()
        if now - self._tasks <= many:
            return False
        self._tasks = now
        return True

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the processes that did not leave the group, all at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._leader.pid, number)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes: to the whole group at once, then to those that left it."""
        members, group = self.members(), self._leader.pid
        if any(_group(process) == group for process in members):  # else another group may have its number now
            self.signal_group(number)
        _send([process for process in members if _group(process) != group], number)

    def kill(self) -> None:
        """Kill all processes, also those that no call has seen: without a parent, only the mark identifies them."""
        with _urgent():
            self.signal(signal.SIGKILL)
            end_marked({self._mark})

    def resident_bytes(self, limit: float = math.inf) -> int:
        """The resident memory of all processes, in bytes.

        Shared pages count only once if the plain sum exceeds ``limit``. To measure them, all processes are stopped.
        """
        members = self.members()
        found = _sum(members, "memory_info", "rss")
        if found <= limit:
            self._shared = 0
        elif found - self._shared > limit:
            self.signal_group(signal.SIGSTOP)
            self._shared = found - _sum(members, "memory_full_info", "pss")
            self.signal_group(signal.SIGCONT)
        return found - self._shared


def end_marked(marks: set[str], known: Iterable[str] = ()) -> None:
    """Kill all processes that have one of these marks, and the ``known`` processes with their descendants.

    Each line of ``known`` is the PID and the creation time of a process.
    """
    done: set[psutil.Process] = set()
    new = set(_known(known)) | set(_marked(marks))
    deadline = time.monotonic() + END_SECONDS
    while new and time.monotonic() < deadline:
        for number in (signal.SIGSTOP, signal.SIGKILL):  # a stopped process starts no others
            _send(new, number)
        done |= new
        new = set(_marked(marks)) - done


def _marked(marks: set[str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) in marks and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _known(lines: Iterable[str]) -> Iterator[psutil.Process]:
    """Those of these processes that still run, each after its descendants."""
    for line in lines:
        pid, started = line.split()
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(pid))
            if process.create_time() == float(started) and process.status() != psutil.STATUS_ZOMBIE:
                yield from process.children(recursive=True)
                yield process


@contextlib.contextmanager
def _urgent() -> Iterator[None]:
    """Give this thread real-time priority if the system allows it.

    Without it, thousands of processes may start new ones faster than this thread ends them.
    """
    policy = getattr(os, "SCHED_RR", None)
    try:
        if policy is not None:
            os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        policy = None
    try:
        yield
    finally:
        if policy is not None:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _tasks() -> int:
    """The number of threads of all processes on this machine; 0 if the system does not report it."""
    text = read_text("/proc/loadavg")
    return int(text.split()[3].partition("/")[2]) if text else 0


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _sum(processes: Iterable[psutil.Process], method: str, field: str) -> int:
    found = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            memory = getattr(process, method)()
            found += getattr(memory, field, memory.rss)  # only Linux reports shared memory
    return found
