"""How busy parallel trials are with simulated jobs that take seconds, and what asking and telling cost.

    python benchmarks/parallel_scale.py busy --parallel 64 --seconds 20 --trials 320
    python benchmarks/parallel_scale.py busy --parallel 8 --seconds 2 --trials 120
    python benchmarks/parallel_scale.py ask --trials 2000

Run it from the root of the repository. Jobs sleep, so that many fit on one machine: a training takes twice ``--seconds``, a
conversion and a scoring half of it each, so that jobs of a trained candidate take ``--seconds`` on average.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from litetuner.search.loop import Loop  # noqa: E402
from litetuner.search.runtime.executors import EXECUTORS  # noqa: E402
from tests.search.fakes import Replayed, fake_search  # noqa: E402


def timed(name: str, spent: list[tuple[int, float, float]]) -> Any:
    """A method of the loop that notes the number of trials told, its wall seconds and the CPU seconds of its thread."""
    own = getattr(Loop, name)

    def call(self: Loop, *arguments: Any) -> Any:
        wall, cpu = time.monotonic(), time.thread_time()
        try:
            return own(self, *arguments)
        finally:
            spent.append((len(self.history.trials), time.monotonic() - wall, time.thread_time() - cpu))

    return call


def busy(parallel: int, seconds: float, trials: int) -> dict[str, Any]:
    """The share of the slots' time in which a job ran, from when all slots were first used to when the last trial began."""
    Replayed.seconds = {"train": 2 * seconds, "convert": seconds / 2, "score": seconds / 2, "time": 0.0}
    EXECUTORS["fake"] = Replayed  # type: ignore[index]
    begun: list[tuple[int, float]] = []
    begin = Loop._begin

    def noted(self: Loop) -> None:
        begin(self)
        begun.append((len(self._in_flight), time.monotonic()))

    Loop._begin = noted  # type: ignore[method-assign]
    began = time.monotonic()
    fake_search(Path(tempfile.mkdtemp()) / "run", database=True, trials=trials, parallel=parallel)
    full = next(at for count, at in begun if count == parallel)
    last = begun[-1][1]
    jobs = [(start, end) for job, start, end in Replayed.done if job.kind != "time"]
    used = sum(max(0.0, min(end, last) - max(start, full)) for start, end in jobs)
    return {
        "parallel": parallel,
        "trials": trials,
        "jobs": len(jobs),
        "seconds of a job, mean": round(statistics.mean(end - start for start, end in jobs), 2),
        "seconds, all": round(time.monotonic() - began, 1),
        "seconds, looked at": round(last - full, 1),
        "busy": round(used / (parallel * (last - full)), 4),
    }


def ask(trials: int) -> dict[str, Any]:
    """Milliseconds of asking and telling one trial, around some numbers of trials."""
    spent: dict[str, list[tuple[int, float, float]]] = {"_ask": [], "_tell": []}
    for name, found in spent.items():
        setattr(Loop, name, timed(name, found))
    fake_search(Path(tempfile.mkdtemp()) / "run", database=True, trials=trials, max_drop="3%")
    result: dict[str, Any] = {}
    for at in range(250, trials + 1, 250):
        for name, found in spent.items():
            near = [(wall, cpu) for count, wall, cpu in found if at - 50 <= count < at]
            if near:
                wall, cpu = (round(1000 * statistics.median(part), 1) for part in zip(*near, strict=True))
                result[f"{name[1:]} at {at}: ms, CPU ms"] = [wall, cpu]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("busy", "ask"))
    parser.add_argument("--parallel", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--trials", type=int, default=320)
    given = parser.parse_args()
    found = busy(given.parallel, given.seconds, given.trials) if given.what == "busy" else ask(given.trials)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
