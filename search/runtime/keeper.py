"""The keeper: a separate process that ends leftover worker processes after a search, also if the search was killed.

The search reports its workers and their descendants to the keeper while they run.
"""

import contextlib
import functools
import os
import subprocess
import threading

from litetuner.spaces.jobs.safe_path import python_command, python_environment

EXIT_SECONDS = 10.0  # how long the keeper may look for leftover processes when the search ends


class Keeper:
    """The search's side of ``keeper_process``. If that process was killed, a new one starts and receives all lines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, None] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, line: str) -> None:
        """Send a line to the keeper: the mark of a worker, or the PID and creation time of a process."""
        with self._lock:
            if line in self._told:
                return
            self._told[line] = None
            if self._process is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._write([line])
                    return
            self._process = subprocess.Popen(
                python_command("-m", "litetuner.search.runtime.keeper_process", str(os.getpid())),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # signals to the search's process group do not reach it
                env=python_environment(),
            )
            self._write(list(self._told))

    def _write(self, lines: list[str]) -> None:
        assert self._process is not None and self._process.stdin is not None  # it was opened as a pipe
        self._process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """End the keeper at the normal end of a search. Waits (up to ``EXIT_SECONDS``) until no process is left."""
        with self._lock:
            if self._process is not None:
                with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
                    self._process.communicate(timeout=EXIT_SECONDS)


@functools.cache
def keeper() -> Keeper:
    """The keeper of this process."""
    import atexit

    found = Keeper()
    atexit.register(found.close)
    return found


os.register_at_fork(after_in_child=keeper.cache_clear)
