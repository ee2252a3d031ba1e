"""A worker seen from the search: started, asked, limited, suspended, replaced when it dies."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from litetuner.search.job import Job, Limits
from litetuner.spaces.errors import BuildFailed, HostError, Lost
from litetuner.spaces.store import cannot_write

POLL_SECONDS = 0.25
START_LIMIT = Limits(seconds=300.0, memory_bytes=1 << 40)
OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)  # who sends these is not the candidate


def _opened(log: Path) -> BinaryIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")
    except OSError as error:
        raise cannot_write(log, error) from error


class WorkerProcess:
    """One child process of a role, in a session of its own (a Ctrl-C in the terminal does not reach it)."""

    def __init__(self, role: str, folder: Path, log: Path) -> None:
        self.role = role
        self.log = log
        self.jobs = 0
        self._logged = 0  # bytes of the log that were handed on
        with _opened(log) as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "litetuner.search.worker", role, str(folder), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
                env=os.environ
                | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        self._buffer = b""
        try:
            self._answer("starting", START_LIMIT)
        except BuildFailed as error:
            raise HostError(
                f"the {role} worker does not start: {error}. Its log is {log}. "
                "`litetuner doctor` checks the installation."
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def log_since(self) -> bytes:
        """What the process has logged since this was last asked."""
        with self.log.open("rb") as stream:
            stream.seek(self._logged)
            text = stream.read()
        self._logged += len(text)
        return text

    def resident_bytes(self) -> int:
        """Memory of the process and its children."""
        try:
            process = psutil.Process(self.pid)
            return sum(item.memory_info().rss for item in (process, *process.children(recursive=True)))
        except psutil.NoSuchProcess:
            return 0

    def ask(self, job: Job) -> dict[str, Any]:
        """Have a job done. Raises ``BuildFailed`` or ``Lost`` (the process is dead then), else gives the worker's answer."""
        self.jobs += 1
        line = json.dumps({"handler": job.handler or job.kind, "inputs": job.inputs | job.hints}) + "\n"
        assert self._process.stdin is not None  # it was opened as a pipe
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died(job.kind) from None
        return self._answer(job.kind, job.limits)

    def _answer(self, what: str, limits: Limits) -> dict[str, Any]:
        deadline = time.monotonic() + limits.seconds
        assert self._process.stdout is not None  # it was opened as a pipe
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if selector.select(POLL_SECONDS):
                    chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                    if not chunk:
                        raise self._died(what)
                    self._buffer += chunk
                elif time.monotonic() > deadline:
                    self.kill()
                    raise BuildFailed(f"{what} took longer than {limits.seconds:.0f} s and was stopped")
                elif (used := self.resident_bytes()) > limits.memory_bytes:
                    self.kill()
                    raise BuildFailed(
                        f"{what} used {used / 1e9:.1f} GB, more than the {limits.memory_bytes / 1e9:.1f} GB allowed"
                    )
        line, _, self._buffer = self._buffer.partition(b"\n")
        record: dict[str, Any] = json.loads(line)
        return record

    def _died(self, what: str) -> BuildFailed | Lost:
        code = self._process.wait()
        self.kill()
        if code >= 0:
            return BuildFailed(f"the process ended with code {code} while {what}; its log is {self.log}")
        name = signal.Signals(-code).name
        if -code in OUTSIDE:
            return Lost(f"the process was ended from outside ({name}) while {what}")
        return BuildFailed(f"the process died by {name} while {what}")

    def suspend(self) -> None:
        """Stop the process and its children, so that nothing of ours computes."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process and its children, also when they are suspended."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # unsent input of a dead process

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # it has ended already
