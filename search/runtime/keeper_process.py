"""A process that waits until a search has ended in any way, and then kills the leftover processes of its workers.

``keeper_process PID`` waits for the search with this PID. It reads lines from standard input: the mark of a worker, or
the PID and creation time of a process that a job has started (which may have lost the mark). Other modules of litetuner
are imported only when they are needed.
"""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator

IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")  # signals that must not end it before the search ends


def main(arguments: list[str]) -> None:
    for name in IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    lines = list(_told_until_the_end(int(arguments[0])))
    from litetuner.search.runtime.process_tree import end_marked

    end_marked({line for line in lines if " " not in line}, [line for line in lines if " " in line])


def _told_until_the_end(search: int) -> Iterator[str]:
    """All lines that the search writes before it ends.

    A fork of the search may keep the pipe open, so the process of the search is watched, too.
    """
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
