"""A worker process, as the search controls it: start, jobs, limits, suspending, ending."""

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.runtime.keeper import keeper
from litetuner.search.runtime.machine import memory_bytes
from litetuner.search.runtime.process_tree import MARK, ProcessTree
from litetuner.spaces.errors import BuildFailed, HostError, Lost, TimeUp
from litetuner.spaces.jobs.device import VISIBLE
from litetuner.spaces.jobs.job import Job, Limits
from litetuner.spaces.jobs.safe_path import python_command, python_environment
from litetuner.spaces.jobs.workspace import Sources
from litetuner.spaces.store import open_log

POLL_SECONDS = 0.25
START_LIMIT = Limits(seconds=300.0, memory_bytes=1 << 40)
MEMORY_SHARE = 0.8  # of this machine's memory: the most that a job may use
PROCESSES = max(256, 4 * (os.cpu_count() or 1))  # the most that one worker may have; more are a fork bomb
EXIT_SECONDS = 2.0  # how long a process may take to exit after it has closed its answer channel
# NumPy's linear algebra uses one thread, unless the user sets more. Its matrices are small, and two threads that share
# a core with another process wait for each other. Reconstructing ResNet8 next to two other processes on two cores took
# 8.0 s with two threads and 1.4 s with one.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)  # these signals are not the candidate's fault


def memory_limit(limits: Limits) -> float:
    """The bytes that a job may use on this machine."""
    return min(limits.memory_bytes, MEMORY_SHARE * memory_bytes())


class WorkerProcess:
    """One child process with a role, in its own session (a Ctrl-C in the terminal does not reach it).

    Time in which it or this process was suspended counts against no limit. The thread that starts it must live as long
    as the process is needed: Linux treats the end of that thread as the end of the parent.
    """

    def __init__(
        self,
        role: str,
        folder: Path,
        log: Path,
        sources: Sources | None = None,
        *,
        gpu: str = "-1",
        wait: bool = True,
    ) -> None:
        self.role, self.log = role, log
        self.jobs = 0
        self._logged = 0  # bytes of the log that ``log_since`` has returned
        command = python_command("-m", "litetuner.search.runtime.worker", role, str(folder), str(os.getpid()))
        mark = secrets.token_hex(8)
        keeper().tell(mark)
        with open_log(log) as stream:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
                env=ONE_THREAD | python_environment() | {"PYTHONUNBUFFERED": "1", MARK: mark, VISIBLE: gpu},
            )
        self._send(sources or Sources())
        self._tree = ProcessTree(self._process.pid, mark)
        self._lock = threading.RLock()  # a timing suspends the process from another thread
        self._buffer = b""
        self._what, self._limits, self._began = "starting", START_LIMIT, awake_seconds()
        self._stopped: float | None = None  # when it was suspended; ``None`` if it runs
        self.slept = self._slept_before = 0.0  # suspended seconds: in total, and before ``_began``
        self.resident = 0  # bytes of memory at the last check of the limits
        self.ready = False  # whether its imports have ended
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until its imports have ended. Raises ``HostError`` if it does not start."""
        try:
            if not self.ready:
                self.answer()
                self.ready = True
        except BuildFailed as error:
            raise HostError(
                f"the {self.role} worker does not start: {error}. Its log is {self.log}. "
                "`litetuner doctor` checks the installation."
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def log_since(self) -> bytes:
        """What the process has logged since the last call."""
        with self.log.open("rb") as stream:
            stream.seek(self._logged)
            text = stream.read()
        self._logged += len(text)
        return text

    def resident_bytes(self) -> int:
        with self._lock:
            return self._tree.resident_bytes()

    def begin(self, job: Job[Any]) -> None:
        """Send it a job; it must be ready. Raises ``BuildFailed`` or ``Lost`` if the process is dead."""
        self.jobs += 1
        self._what, self._limits, self._began, self._slept_before = job.kind, job.limits, awake_seconds(), self.slept
        line = json.dumps({"verb": job.verb, "job": job.to_json()}) + "\n"
        assert self._process.stdin is not None  # it was opened as a pipe
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died(job.kind) from None

    def _send(self, sources: Sources) -> None:
        """Send its first line, the sources. Command lines have a limited length, and all users can see them."""
        assert self._process.stdin is not None  # it was opened as a pipe
        with contextlib.suppress(BrokenPipeError):  # ``answer`` reports that it is dead
            self._process.stdin.write(json.dumps(sources.to_json()).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self, meanwhile: Callable[[], object] = lambda: None) -> dict[str, Any]:
        """Wait for the answer to the current job. Raises like ``begin``. Calls ``meanwhile`` several times a second."""
        while (answer := self._look(POLL_SECONDS)) is None:
            meanwhile()
        return answer

    def _look(self, seconds: float) -> dict[str, Any] | None:
        """The answer if it comes within ``seconds``. Else checks the limits of the job and returns ``None``."""
        assert self._process.stdout is not None  # it was opened as a pipe
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(seconds):
                    # A child of the process may keep the process's end of the pipe open.
                    ended = not self.alive
                    if ended and not selector.select(0):
                        raise self._died(self._what)
                    if not ended:
                        with self._lock:
                            self._hold_to_limits()
                        return None
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise self._died(self._what)
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:
            self._end(f"{self._what} gave no answer that can be read")
        return record

    def _hold_to_limits(self) -> None:
        if self._stopped is not None:
            return
        what, limits = self._what, self._limits
        used = awake_seconds() - self._began - (self.slept - self._slept_before)
        if limits.budget_seconds is not None and limits.budget_seconds < min(used, limits.seconds):
            self.kill()
            raise TimeUp(f"{what} was stopped after {used:.0f} s: the time budget was used up")
        if used > limits.seconds:
            self._end(f"{what} took longer than {limits.seconds:.0f} s and was stopped")
        allowed, grew = memory_limit(limits), self._tree.grew(PROCESSES)
        if grew:
            self._tree.signal_group(signal.SIGSTOP)
        if (processes := len(self._tree.members())) > PROCESSES:
            self._end(f"{what} started {processes} processes, more than the {PROCESSES} allowed")
        if grew:
            self._tree.signal_group(signal.SIGCONT)
        self.resident = memory = self._tree.resident_bytes(allowed)
        if memory > allowed:
            self._end(f"{what} used {memory / 1e9:.1f} GB, more than the {allowed / 1e9:.1f} GB allowed")

    def _end(self, reason: str) -> NoReturn:
        self.kill()
        raise BuildFailed(reason)

    def _died(self, what: str) -> BuildFailed | Lost:
        try:
            code = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return BuildFailed(f"the process closed its channel while {what}")
        self.kill()
        if code >= 0:
            return BuildFailed(f"the process ended with code {code} while {what}; its log is {self.log}")
        name = {known.value: known.name for known in signal.Signals}.get(-code, f"signal {-code}")
        if -code in OUTSIDE:
            return Lost(f"the process was ended from outside ({name}) while {what}")
        return BuildFailed(f"the process died by {name} while {what}")

    def suspend(self) -> None:
        """Suspend the process and its descendants."""
        with self._lock:
            self._stopped = self._stopped or awake_seconds()
            self._tree.signal(signal.SIGSTOP)

    def resume(self) -> None:
        with self._lock:
            if self._stopped is not None:
                self.slept += awake_seconds() - self._stopped
                self._stopped = None
            self._tree.signal(signal.SIGCONT)

    def end(self) -> None:
        """Send the kill signal without waiting: freeing the memory of the process may take a second."""
        with self._lock:
            self._tree.signal(signal.SIGKILL)

    def kill(self) -> None:
        """Kill the process and its descendants, also if they are suspended, and wait for the process."""
        with self._lock:
            self._tree.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # unsent input of a dead process
                    stream.close()
