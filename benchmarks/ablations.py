"""Ablation of the proposal strategies: searches of six small models, with all strategies and with one left out.

python benchmarks/ablations.py run --folder WORK [--minutes 1.25] [--only digits_cnn,mask]
python benchmarks/ablations.py table

Each model is one of ``tasks/``, which is built and trained in seconds. A search with a result in results/ablations/ is
not repeated, so the same command resumes. Two commands with different models can run at the same time on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from search_efficiency import ABLATIONS
from tasks import TASKS

from litetuner.objectives.environment import environment
from litetuner.search.config.config import make_config
from litetuner.search.hypervolume import volume_over_time
from litetuner.search.proposals import scheduler
from litetuner.search.run import run_search
from litetuner.search.runs.record import read_run

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "ablations"
MODELS = ("digits_cnn", "separable", "tcn", "keypoints", "mask", "transformer")
METHODS = ("litetuner", *(f"no_{name}" for name in scheduler.STRATEGIES))
DROP = 0.05  # the data has only some hundred samples, so one sample is up to 0.3 points
SHARES = (0.25, 0.5, 1.0)  # shares of the time at which the hypervolume is read


def search(model: str, method: str, seed: int, folder: Path, minutes: float) -> dict[str, Any]:
    """Run a search.

    Returns its hypervolume over time (relative to its own box), and the origins of trials and gains.
    """
    place, out = folder / model, folder / f"{model}-{method}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    values = {"model": str(place / "model.keras"), "data": str(place / "data.npz"), "out": str(out), "seed": seed}
    values |= {"max_drop": f"{100 * DROP:g}%", "time_budget": f"{60 * minutes:g}s"} | dict(TASKS[model].keys)
    config = make_config(values)
    with contextlib.ExitStack() as stack:
        for change in ABLATIONS.get(method, ()):
            stack.enter_context(change)
        run_search(config)
    record = read_run(out)
    assert record.baseline is not None
    # Only accuracy and size count: the smallest models take microseconds, and int8 makes them no faster than float32.
    grown = volume_over_time(record.trials, record.objectives[:2], record.baseline, DROP)
    return {
        "model": model,
        "method": method,
        "seed": seed,
        "minutes": minutes,
        "volumes": {
            f"{share:g}": max((at.value for at in grown if at.seconds <= share * 60 * minutes), default=0.0)
            for share in SHARES
        },
        "trials": Counter(trial.origin for trial in record.trials),
        "gained": [(record.trials[at.trial].origin, round(at.seconds, 1), round(at.value, 5)) for at in grown],
        "load": round(os.getloadavg()[0], 1),
        "environment": environment(),
    }


def table() -> str:
    """The hypervolume without each strategy relative to the search with all strategies, by model, with the median."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        run = json.loads(path.read_text())
        found.setdefault((run["method"], run["model"]), []).append(run)
    lines = ["| without | after | " + " | ".join(MODELS) + " | median |", "|---" * (len(MODELS) + 3) + "|"]
    for method in METHODS[1:]:
        for share in SHARES:
            cells = [ratio(found, method, model, f"{share:g}") for model in MODELS]
            known = [cell for cell in cells if cell is not None]
            texts = ["" if cell is None else f"{cell:.2f}" for cell in cells]
            median = f"**{statistics.median(known):.2f}**" if known else ""
            lines.append(f"| {method.removeprefix('no_')} | {share:.0%} | {' | '.join(texts)} | {median} |")
    return "\n".join(lines) + "\n"


def ratio(found: dict[tuple[str, str], list[dict[str, Any]]], method: str, model: str, share: str) -> float | None:
    """Mean hypervolume without a strategy divided by the mean with all strategies, over the seeds that both have."""
    without, whole = (
        {run["seed"]: run["volumes"][share] for run in found.get((name, model), [])} for name in (method, "litetuner")
    )
    both = sorted(without.keys() & whole.keys())
    total = sum(whole[seed] for seed in both)
    return sum(without[seed] for seed in both) / total if total else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--folder", type=Path, default=Path("ablations"))
    parser.add_argument("--minutes", type=float, default=1.25)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default=",".join(MODELS))
    options = parser.parse_args()
    models, folder = options.only.split(","), options.folder.resolve()
    if options.command == "run":
        RESULTS.mkdir(parents=True, exist_ok=True)
        # A separate process, because it needs Keras 3 and the search needs legacy Keras.
        made = [sys.executable, str(HERE / "breadth.py"), "make", "--folder", str(folder), "--only", options.only]
        subprocess.run(made, check=True)
        for seed in range(options.seeds):
            for model in models:
                for method in METHODS:
                    path = RESULTS / f"{model}-{method}-{seed}.json"
                    if not path.exists():
                        row = search(model, method, seed, folder, options.minutes)
                        path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
                        print(f"{model} {method} {seed}: {row['volumes']}", flush=True)
    print(table())


if __name__ == "__main__":
    main()
