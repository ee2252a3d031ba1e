"""How often the best file of a run exceeds ``--max-drop`` on new data: a simulation with known true drops.

    python benchmarks/selection.py --out benchmarks/results/selection.json

A simulated world has a baseline and files. The smaller a file, the larger its true accuracy drop; files partly fail on
the same samples. litetuner's rule (``search/picks/best.py``) picks the best file from measurements on a simulated
search split: this is ``bound``. ``point`` is the earlier rule, which treats the measured drops as exact.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.statistics import paired_difference
from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.picks.best import BestRule, find_best
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate

LIMIT, ACCURACY = 0.01, 0.87
# For each world: the mean drop of the smallest file, and the standard deviation of drops around the curve.
WORLDS = {"even": (0.03, 0.004), "steep": (0.2, 0.01), "flat": (0.012, 0.002)}
RULE = BestRule(
    (Budget("max-drop", "drop", LIMIT, "at most", "1%"),),
    latency_limited=True,
    points=True,
    metric=Objective("metric", "maximize"),
    size="compressed_bytes",
    latency="latency_us:host",
)


def world(name: str, files: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes in bytes, true drops, and shares of samples on which a file differs from the baseline besides the drop."""
    most, spread = WORLDS[name]
    share = np.sort(rng.uniform(0, 1, files))  # 0: like the baseline, 1: the smallest file
    drops = np.maximum(-0.004, most * share**2 + rng.normal(0, spread, files))
    return 100_000 * (1 - 0.9 * share), drops, 0.01 + 0.04 * share * rng.uniform(0.5, 1.5, files)


def differences(samples: int, drops: np.ndarray, churn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each file and sample: 1 if only the baseline is correct, -1 if only the file is correct, else 0."""
    right, hard = rng.random(samples) < ACCURACY, rng.random(samples)
    found = np.zeros((len(drops), samples))
    for row, drop, differ in zip(found, drops, churn, strict=True):
        mixed = 0.5 * hard + 0.5 * rng.random(samples)  # makes files fail on the same samples more often than by chance
        rank = np.argsort(np.argsort(mixed)) / samples
        gained = max(differ / 2, -drop)
        row[right & (rank < (drop + gained) / ACCURACY)] = 1
        row[~right & (rank < gained / (1 - ACCURACY))] = -1
    return found


def trials(sizes: np.ndarray, found: np.ndarray, *, exact: bool) -> Iterator[Trial]:
    for number, (size, row) in enumerate(zip(sizes, found, strict=True)):
        drop, interval = paired_difference(row, np.zeros_like(row), 0)
        values = {
            "metric": Measurement(ACCURACY - drop, "accuracy", {"simulated": True}),
            "drop": Measurement(drop, "points", {"simulated": True}, None if exact else interval),
            "compressed_bytes": Measurement(float(size), "bytes", {"simulated": True}),
            "latency_us:host": Measurement(100.0, "us", {"simulated": True}),
        }
        state = State.COMPLETE if drop <= LIMIT else State.INFEASIBLE
        yield Trial(number, Candidate(()), state, "sampler", 0, values)


def one_run(name: str, files: int, samples: int, seed: int) -> dict[str, tuple[bool, float] | None]:
    """For each rule: whether its best file exceeds the limit on new data, and its size over the smallest valid size.

    A file is valid if its true drop is within the limit. ``None``: the rule picked no file.
    """
    rng = np.random.default_rng([seed, files, samples])
    sizes, drops, churn = world(name, files, rng)
    found = differences(samples, drops, churn, rng)
    least = min((size for size, drop in zip(sizes, drops, strict=True) if drop <= LIMIT), default=np.nan)
    picked: dict[str, tuple[bool, float] | None] = {}
    for rule, exact in (("point", True), ("bound", False)):
        best = find_best(list(trials(sizes, found, exact=exact)), RULE, lambda one, other: None)
        number = None if best is None else best.trial.number
        picked[rule] = None if number is None else (bool(drops[number] > LIMIT), float(sizes[number] / least))
    return picked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for name in WORLDS:
        for files in (10, 30, 100, 300):
            for samples in (500, 5000):
                start = time.perf_counter()
                runs = [one_run(name, files, samples, seed) for seed in range(options.runs)]
                row = {"world": name, "files": files, "samples": samples, "runs": options.runs}
                for rule in ("point", "bound"):
                    picked = [each for run in runs if (each := run[rule]) is not None]
                    row[rule] = {
                        "picked": len(picked),
                        "breaks": float(np.mean([broken for broken, _ in picked])),
                        "size": float(np.nanmedian([size for _, size in picked])),
                    }
                rows.append(row | {"seconds": round(time.perf_counter() - start, 1)})
                print(json.dumps(rows[-1]), flush=True)
                options.out.write_text(
                    json.dumps({"limit": LIMIT, "accuracy": ACCURACY, "rows": rows}, indent=1) + "\n"
                )


if __name__ == "__main__":
    main()
