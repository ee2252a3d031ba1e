"""Run an external program with limits on time, memory and output, without a shell. It ends when this process ends."""

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
MOST_OUTPUT = 4_000_000  # maximum bytes that are read of a program's output
LARGEST_FILE = 1 << 30  # maximum bytes of a file that it writes


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a program ended. ``code`` is negative for a signal, and ``None`` if it was stopped at its time limit."""

    code: int | None
    output: str
    messages: str

    @property
    def end(self) -> str:
        """The last line of its messages, or of its output if there are no messages."""
        lines = [line.strip() for line in (self.messages or self.output).splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it printed nothing"

    @property
    def how(self) -> str:
        """How it failed: the signal, or the exit code with the last line of its messages."""
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
    """Run a program in ``folder`` with ``given`` as its standard input. Its process group is killed before the return.

    Raises ``OSError`` if the launcher cannot be started. If the program itself cannot be started, the launcher exits
    with code 127 and a message.
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
                    os.killpg(process.pid, signal.SIGKILL)  # the program if it still runs, and its children
                process.wait()
        return Ended(code, _text(output), _text(messages))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MOST_OUTPUT).decode(errors="replace")
