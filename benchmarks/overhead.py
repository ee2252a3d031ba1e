"""The overhead of litetuner in a finished run: its share of wall time, and the ratio of trial time to job time.

python benchmarks/overhead.py RUN [--out benchmarks/results/overhead_dscnn.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from litetuner.objectives.environment import environment
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import Trial

GOAL_RATIO = 1.3  # goal for the wall time of a post-training trial divided by its time for converting, scoring, timing
JOBS = ("convert", "score", "time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = RunFolder(options.run)
    clock = folder.read("clock")
    if clock is None:
        raise SystemExit(f"{options.run} has no clock.json: it is not a run folder, or its search has not ended")
    found = share(clock["seconds"]) | {"trials": ratios(folder.trials())}
    values = [row["ratio"] for row in found["trials"]]
    if values:
        found |= {"median ratio": round(statistics.median(values), 3), "largest ratio": max(values)}
        found["trials within 1.3"] = f"{sum(value <= GOAL_RATIO for value in values)} of {len(values)}"
    for row in found["trials"]:
        print("{trial:5d} {ratio:6.2f}  {wall:8.2f} s for {jobs:8.2f} s of jobs  {label}".format(**row))
    print({key: value for key, value in found.items() if key != "trials"})
    if options.out:
        found |= {"run's environment": folder.read("environment"), "environment": environment()}
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def share(seconds: dict[str, float]) -> dict[str, Any]:
    """The seconds by kind, and the share of wall time outside of the four kinds of jobs (with their process starts)."""
    return {"seconds": seconds, "own share": round(seconds["other"] / seconds["wall"], 4)}


def ratios(trials: list[Trial]) -> list[dict[str, Any]]:
    """For each scored trial without training: wall seconds since the previous trial, divided by seconds of its jobs.

    The previous trial ends when it is told, so the time of ask counts too, and for trial 1 the measurement of layer
    sensitivity. Cached results are left out.
    """
    rows = []
    for before, trial in itertools.pairwise(sorted(trials, key=lambda item: item.seconds_since_start)):
        jobs = sum(trial.seconds.get(kind, 0.0) for kind in JOBS)
        if trial.seconds.get("train") or not trial.state.scored or trial.duplicate_of is not None or not jobs:
            continue
        wall = trial.seconds_since_start - before.seconds_since_start
        row = {"trial": trial.number, "label": trial.candidate.label, "wall": round(wall, 3), "jobs": round(jobs, 3)}
        rows.append(row | {"ratio": round(wall / jobs, 3)})
    return rows


if __name__ == "__main__":
    main()
