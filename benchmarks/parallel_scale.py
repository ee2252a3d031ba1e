"""How busy parallel trials are with simulated jobs that take seconds, and how much time ask and tell need.

    python benchmarks/parallel_scale.py busy --parallel 64 --seconds 20 --trials 320
    python benchmarks/parallel_scale.py busy --parallel 8 --seconds 2 --trials 120
    python benchmarks/parallel_scale.py speed --parallel 8 --seconds 1 --trials 160
    python benchmarks/parallel_scale.py ask --trials 2000

Run it from the root of the repository. Jobs only sleep, so many of them fit on one machine. A training takes twice
``--seconds``, a conversion and a scoring half of it each, so the jobs of a trained candidate take ``--seconds`` on
average.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from litetuner.search.hypervolume import Volume, volume_over_time  # noqa: E402
from litetuner.search.loop import Loop  # noqa: E402
from litetuner.search.run import SearchEnd  # noqa: E402
from litetuner.search.runtime.executors import EXECUTORS  # noqa: E402
from tests.search.fakes import Replayed, fake_search  # noqa: E402


def timed(name: str, spent: list[tuple[int, float, float]]) -> Any:
    """The method ``name`` of the loop, wrapped to record (number of trials, wall seconds, CPU seconds of thread)."""
    own = getattr(Loop, name)

    def call(self: Loop, *arguments: Any) -> Any:
        wall, cpu = time.monotonic(), time.thread_time()
        try:
            return own(self, *arguments)
        finally:
            spent.append((len(self.history.trials), time.monotonic() - wall, time.thread_time() - cpu))

    return call


def replayed(seconds: float, **keys: Any) -> SearchEnd:
    """Run a search whose jobs sleep."""
    Replayed.seconds = {"train": 2 * seconds, "convert": seconds / 2, "score": seconds / 2, "time": 0.0}
    EXECUTORS["fake"] = Replayed  # type: ignore[index]
    return fake_search(Path(tempfile.mkdtemp()) / "run", database=True, **keys)


def busy(parallel: int, seconds: float, trials: int) -> dict[str, Any]:
    """The share of slot time in which jobs ran, from the first use of all slots to the start of the last trial."""
    begun: list[tuple[int, float]] = []
    begin = Loop._begin

    def noted(self: Loop) -> None:
        begin(self)
        begun.append((len(self._in_flight), time.monotonic()))

    Loop._begin = noted  # type: ignore[method-assign]
    began, used_before = time.monotonic(), cpu_seconds()
    told = len(replayed(seconds, trials=trials, parallel=parallel).record.trials)
    full = next(at for count, at in begun if count == parallel)
    last = begun[-1][1]
    jobs = [(start, end) for job, start, end in Replayed.done if job.kind != "time"]
    used = sum(max(0.0, min(end, last) - max(start, full)) for start, end in jobs)
    cpu = cpu_seconds() - used_before
    return {
        "parallel": parallel,
        "trials": told,
        "jobs": len(jobs),
        "seconds of a job, mean": round(statistics.mean(end - start for start, end in jobs), 2),
        "seconds, all": round(time.monotonic() - began, 1),
        "seconds, looked at": round(last - full, 1),
        "busy": round(used / (parallel * (last - full)), 4),
        "CPU ms of a trial": round(1000 * cpu / told, 1),
        "CPU ms of a job": round(1000 * cpu / len(jobs), 1),
        "CPU share of a core": round(cpu / (time.monotonic() - began), 3),
    }


def cpu_seconds() -> float:
    """CPU seconds of this process: the search, simulated jobs, and the copy of the study."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def speed(parallel: int, seconds: float, trials: int) -> dict[str, Any]:
    """How much faster parallel trials reach 95 % of the final hypervolume of sequential trials."""
    alone, together = (grown(replayed(seconds, trials=trials, parallel=count)) for count in (1, parallel))
    goal = 0.95 * alone[-1].value
    reached = [next((each.seconds for each in found if each.value >= goal), None) for found in (alone, together)]
    return {
        "parallel": parallel,
        "hypervolume, one after the other": round(alone[-1].value, 4),
        "hypervolume, parallel": round(together[-1].value, 4),
        "seconds to 95 %": reached,
        "share of the time": None if None in reached else round(reached[1] / reached[0], 3),  # type: ignore[operator]
    }


def grown(end: SearchEnd) -> tuple[Volume, ...]:
    record = end.record
    assert record.baseline is not None
    return volume_over_time(record.trials, record.objectives, record.baseline)


def ask(trials: int) -> dict[str, Any]:
    """The median milliseconds of ask and tell, before every 250th trial."""
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
    parser.add_argument("what", choices=("busy", "speed", "ask"))
    parser.add_argument("--parallel", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--trials", type=int, default=320)
    given = parser.parse_args()
    if given.what == "ask":
        found = ask(given.trials)
    else:
        found = (busy if given.what == "busy" else speed)(given.parallel, given.seconds, given.trials)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
