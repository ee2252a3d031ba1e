"""What ends the processes of workers after a search that was killed: a process of its own, told of them while they run."""

import contextlib
import functools
import os
import subprocess
import threading

from litetuner.spaces.jobs.safe_path import python_command, python_environment

EXIT_SECONDS = 10.0  # how long it may look for what is left when the search ends


class Keeper:
    """``keeper_process`` seen from the search. One that was killed is started again, and told all again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, None] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, line: str) -> None:
        """Tell it a mark of a worker, or the number and start of a process."""
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
                start_new_session=True,  # what ends or stops the search does not reach it
                env=python_environment(),
            )
            self._write(list(self._told))

    def _write(self, lines: list[str]) -> None:
        assert self._process is not None and self._process.stdin is not None  # it was opened as a pipe
        self._process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """The search ends as it should: nothing of it is left when this returns."""
        with self._lock:
            if self._process is not None:
                with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
                    self._process.communicate(timeout=EXIT_SECONDS)


@functools.cache
def keeper() -> Keeper:
    """That of this process."""
    import atexit

    found = Keeper()
    atexit.register(found.close)
    return found


os.register_at_fork(after_in_child=keeper.cache_clear)
