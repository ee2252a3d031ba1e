"""The overhead of litetuner per trial, and its growth, in a search of 1000 trials with executor and target ``fake``.

python benchmarks/simulation.py [--trials 1000] [--sampler tpe] [--alone] [--seed 0] [--processor]
    [--out benchmarks/results/simulation.json]
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from litetuner.objectives.environment import environment
from litetuner.search.config.config import make_config
from litetuner.search.criteria import objectives
from litetuner.search.hypervolume import volume_over_time
from litetuner.search.listener import Listener
from litetuner.search.proposals.samplers import SAMPLERS
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_study import Study
from litetuner.search.runtime.executors.fake import Fake
from litetuner.search.trial import Trial, find_baseline

BLOCK = 100  # trials
GOAL_SECONDS = 0.2  # goal for ask and tell together
# Goal for the overhead of the last block relative to the second one. The first block has the baselines and fills
# caches.
GOAL_GROWTH = 1.5
PARTS = ("ask", "enqueue", "tell", "jobs")


class Stopwatch(Listener):
    """Measures the seconds of each part between two told trials. The remaining time (``own``) is that of the loop."""

    def __init__(self, processor: bool) -> None:
        self._clock = time.process_time if processor else time.perf_counter
        # The clock of the thread that asks and tells. Another thread writes the copy of the study; its time counts as
        # own.
        self._part_clock = time.thread_time if processor else time.perf_counter
        self.rows: list[dict[str, Any]] = []
        self._parts = dict.fromkeys(PARTS, 0.0)
        self._runs = 0  # number of jobs since the last trial
        self._last = self._clock()

    def timed(self, part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, wrapped so that its time is added to ``part``."""

        @functools.wraps(method)
        def wrapper(*args: Any, **keys: Any) -> Any:
            started = self._part_clock()
            self._runs += part == "jobs"
            try:
                return method(*args, **keys)
            finally:
                self._parts[part] += self._part_clock() - started

        return wrapper

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        """See ``Listener.told``."""
        now = self._clock()
        own = now - self._last - sum(self._parts.values())
        row = {"origin": trial.origin, "state": str(trial.state), "own": own, "runs": self._runs}
        self.rows.append(row | self._parts)
        self._parts, self._runs = dict.fromkeys(PARTS, 0.0), 0
        self._last = now


@contextlib.contextmanager
def watched(watch: Stopwatch) -> Iterator[None]:
    """Measure the calls from the loop to Optuna and the executor inside this context."""
    seams = [(Study, "ask", "ask"), (Study, "enqueue", "enqueue"), (Study, "tell", "tell"), (Fake, "submit", "jobs")]
    before = [(kind, name, getattr(kind, name)) for kind, name, _ in seams]
    for kind, name, part in seams:
        setattr(kind, name, watch.timed(part, getattr(kind, name)))
    try:
        yield
    finally:
        for kind, name, method in before:
            setattr(kind, name, method)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--sampler", choices=sorted(SAMPLERS), default="tpe")
    parser.add_argument("--alone", action="store_true", help="the sampler without promotions and neighbors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processor", action="store_true", help="processor seconds, for a machine that others use too")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.alone:
        SAMPLERS[options.sampler].guided = False
    keys = {"model": "fake:model", "data": "fake:data", "executor": "fake", "target": "fake", "max_drop": "3%"}
    keys |= {"sampler": options.sampler, "seed": options.seed, "trials": options.trials, "time_budget": "10h"}
    watch = Stopwatch(options.processor)
    with tempfile.TemporaryDirectory() as place:
        config = make_config(keys | {"out": str(Path(place) / "run")})
        with watched(watch):
            outcome = run_search(config, watch)
        trials = RunFolder(Path(config.out or "")).trials()
    volumes = volume_over_time(trials, objectives(config, _metric(config.metric)), _baseline(trials))
    found = report(watch.rows) | {"trials": len(watch.rows), "stopped": outcome.reason}
    found |= {"hypervolume": volumes[-1].value if volumes else 0.0, "options": vars(options) | {"out": None}}
    show(found)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found | {"environment": environment()}, indent=1) + "\n")


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and 95th percentile of each part in seconds, by block of trials.

    ``ask`` counts only trials of the sampler.
    """
    blocks = []
    for start in range(0, len(rows) - BLOCK // 2, BLOCK):
        block = rows[start : start + BLOCK]
        asked = [row for row in block if row["ask"]]
        blocks.append(
            {
                "first": start,
                "sampler asks": len(asked),
                "own": _spread([row["own"] for row in block]),
                "jobs a trial": sum(row["runs"] for row in block) / len(block),
                "own a job": sum(row["own"] for row in block) / max(1, sum(row["runs"] for row in block)),
                "jobs": _spread([row["jobs"] for row in block]),
                "enqueue": _spread([row["enqueue"] for row in block if row["enqueue"]]),
                "tell": _spread([row["tell"] for row in block]),
                "ask": _spread([row["ask"] for row in asked]),
                "ask and tell": _spread([row["ask"] + row["tell"] for row in asked]),
            }
        )
    longest = max((row["ask"] + row["tell"] for row in rows), default=0.0)
    growth = blocks[-1]["own"]["median"] / blocks[1]["own"]["median"] if len(blocks) > 2 else None
    by_job = blocks[-1]["own a job"] / blocks[1]["own a job"] if len(blocks) > 2 else None
    last = blocks[-1]["ask and tell"]["p95"] if blocks else None
    met = {
        "own cost stays flat": growth is not None and growth <= GOAL_GROWTH,
        "ask and tell": last is not None and last <= GOAL_SECONDS,
    }
    return {
        "blocks": blocks,
        "growth of own": growth,
        "growth of own a job": by_job,
        "longest ask and tell": longest,
        "met": met,
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"median": None, "p95": None}
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median": round(statistics.median(ordered), 5), "p95": round(p95, 5)}


def show(found: dict[str, Any]) -> None:
    """Print the table of benchmarks/README.md."""
    print(
        "| trials | own | p95 | jobs a trial | own a job | enqueue | tell | sampler asks | ask | ask + tell, p95 |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    for block in found["blocks"]:
        cells = [block["own"]["median"], block["own"]["p95"], block["enqueue"]["median"], block["tell"]["median"]]
        asks = [block["ask"]["median"], block["ask and tell"]["p95"]]
        texts = [_ms(cell) for cell in cells] + [str(block["sampler asks"])] + [_ms(cell) for cell in asks]
        texts[2:2] = [f"{block['jobs a trial']:.1f}", _ms(block["own a job"])]
        print(f"| {block['first']} to {block['first'] + BLOCK - 1} | " + " | ".join(texts) + " |")
    print({key: value for key, value in found.items() if key not in ("blocks", "options")})


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.1f} ms"


def _metric(name: str) -> Any:
    from litetuner.objectives.metrics.choice import find_metric

    return find_metric(name)


def _baseline(trials: list[Trial]) -> Trial:
    baseline = find_baseline(trials)
    if baseline is None:
        raise SystemExit("the simulated search has no baseline")
    return baseline


if __name__ == "__main__":
    main()
