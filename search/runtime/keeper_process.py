"""A process that waits until a search has ended, in whatever way, and ends what its workers have left.

``keeper_process PID`` reads lines from standard input: the mark of a worker, or number and start of a process that a job has
started (it may have left the mark behind). It imports nothing else before it is needed.
"""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator

IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")  # it ends with the search, and not before


def main(arguments: list[str]) -> None:
    for name in IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    lines = list(_told_until_the_end(int(arguments[0])))
    from litetuner.search.runtime.process_tree import end_marked

    end_marked({line for line in lines if " " not in line}, [line for line in lines if " " in line])


def _told_until_the_end(search: int) -> Iterator[str]:
    """All that the search tells before it ends. A fork of it may hold the other end of the pipe, so it is watched itself."""
    watched, rest = [0], b""
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            watched.append(os.pidfd_open(search))
    while True:
        ready = select.select(watched, [], [])[0]
        chunk = os.read(0, 1 << 16) if 0 in ready else b""
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)
        if not chunk:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
