"""A foreign program as a process with limits: no shell, bounded time, memory and output; it ends when this process ends."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("launcher.py")
MOST_OUTPUT = 4_000_000  # bytes that are read of what a program prints
LARGEST_FILE = 1 << 30  # bytes of any file that it writes


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a program ended. ``code`` is negative for a signal, ``None`` where it was stopped after its time."""

    code: int | None
    output: str
    messages: str

    @property
    def end(self) -> str:
        """The last line of its messages, or of its output."""
        lines = [line.strip() for line in (self.messages or self.output).splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it printed nothing"

    @property
    def how(self) -> str:
        """How it failed: by a signal or an exit code, and its last words."""
        if self.code is not None and self.code < 0:
            names = {known.value: known.name for known in signal.Signals}
            return f"crashed with {names.get(-self.code, f'signal {-self.code}')}"
        return f"ended with code {self.code}: {self.end}"


def run_limited(
    command: Sequence[str],
    *,
    seconds: float,
    memory_bytes: int,
    given: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program with ``given`` on its standard input, in ``folder``; its process group ends with this call.

    Raises ``OSError`` where it cannot be started at all (the launcher says so with code 127 and a message otherwise).
    """
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(memory_bytes), str(LARGEST_FILE)]
    with contextlib.ExitStack() as stack:
        source, output, messages = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        source.write(given.encode())
        source.seek(0)
        process = subprocess.Popen(
            [*launch, *command],
            stdin=source,
            stdout=output,
            stderr=messages,
            cwd=folder,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            try:
                code = process.wait(seconds)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # what it started, and itself where it did not end
                process.wait()
        return Ended(code, _text(output), _text(messages))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MOST_OUTPUT).decode(errors="replace")
