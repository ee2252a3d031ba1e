"""A worker, or the timing program, that dies as ``deaths.py`` has planned.

Each file in the folder ``plan`` is one death.

``python death_worker.py worker ROLE FOLDER PARENT`` runs litetuner's worker, with its train, convert and score jobs
wrapped. Any other arguments are those of ``objectives/runner/runner.py``.
"""

import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

FORKS = 600  # the maximum number of forks, even if litetuner does not stop them


def loop() -> None:
    while True:
        time.sleep(0.01)


def spin() -> None:
    while True:
        pass


def memory() -> None:
    held = []
    while len(held) < 120:  # 6 GB at most
        held.append(bytearray(os.urandom(1 << 20) * 50))
        time.sleep(0.02)
    time.sleep(60)


def fork_bomb() -> None:
    """Every process forks again, until there were ``FORKS`` forks. A pipe with as many bytes counts them."""
    give, take = os.pipe()
    os.write(take, b"x" * FORKS)
    os.set_blocking(give, False)
    while True:
        try:
            os.read(give, 1)
        except BlockingIOError:
            time.sleep(120)
            os._exit(0)
        os.fork()


DEATHS = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(3),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "loop": loop,
    "memory": memory,
    "fork bomb": fork_bomb,
}


def maybe(plan: Path, stage: str) -> None:
    """Die if the plan has a death for this stage. Its file is removed before, so that it happens only once."""
    for file in sorted(plan.glob(f"{stage}-*")):
        try:
            file.unlink()
        except FileNotFoundError:
            continue
        name = file.name.split("-")[2]
        with (plan.parent / "deaths.txt").open("a") as stream:
            stream.write(f"{time.monotonic()} {stage} {name}\n")
        DEATHS[name]()
        time.sleep(60)  # a signal may arrive with a delay


def wrapped(stage: str, plan: Path, handler: Any) -> Any:
    def do(job: dict[str, Any]) -> dict[str, Any]:
        maybe(plan, stage)
        found: dict[str, Any] = handler(job)
        return found

    return do


def main(arguments: list[str]) -> None:
    plan = Path(__file__).parent / "plan"  # this script is copied into the same folder
    if arguments[0] != "worker":
        from litetuner.objectives.runner import runner

        if "--baseline" in arguments:
            maybe(plan, "time")
        sys.argv = [str(runner.__file__), *arguments]
        runpy.run_path(str(runner.__file__), run_name="__main__")
        return
    from litetuner.search.runtime import worker

    roles = dict(worker.ROLES)

    def make(role: str) -> Any:
        def handlers(workspace: Any) -> dict[str, Any]:
            found = roles[role](workspace)
            return found | {
                verb: wrapped(verb, plan, found[verb]) for verb in ("train", "convert", "score") if verb in found
            }

        return handlers

    for role in roles:
        worker.ROLES[role] = make(role)
    worker.main(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
