"""Set process limits, then execute a program: ``launcher.py PARENT MEMORY_BYTES FILE_BYTES PROGRAM ARGUMENT...``.

This script uses only the standard library. With it, no code of our process runs between fork and exec.
"""

import contextlib
import ctypes
import os
import signal
import sys


def main(arguments: list[str]) -> None:
    parent, memory, largest = (int(text) for text in arguments[:3])
    command = arguments[3:]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        # RLIMIT_DATA limits the memory for data; address space that is only reserved does not count.
        limits = ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_FSIZE, largest), (resource.RLIMIT_CORE, 0))
        for limit, value in limits:
            with contextlib.suppress(ValueError, OSError):  # the user's own limit is lower
                resource.setrlimit(limit, (value, value))
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
