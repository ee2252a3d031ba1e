"""Models of many kinds: compares recorded scores with Keras, scikit-learn, and the files run without litetuner.

python benchmarks/breadth.py run --folder WORK [--only digits_cnn,mask] [--trials 6]
python benchmarks/breadth.py real --folder WORK [--only digits_cnn,mask]
python benchmarks/breadth.py table

Each task of benchmarks/tasks is built, then searched as a user would do it. There are two differences: all jobs run in
one process (a worker with TensorFlow takes seconds to start), and latencies are computed instead of measured. The row
of a task is written to benchmarks/results/breadth/<task>.json. It is not computed again; remove the file to repeat it.
`real` does the same for some tasks with worker processes, measured latencies and steps that train
(benchmarks/results/breadth_real). `table` makes benchmarks/breadth.md.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import random
import subprocess
import sys
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from breadth_tables import REAL, RESULTS, real_table, table
from tasks import TASKS, Task
from tasks.task import part

import litetuner
from litetuner.objectives import statistics
from litetuner.search.config.config import make_config
from litetuner.search.evaluation.inspection import Inspection
from litetuner.search.evaluation.sensitivity import Ranking
from litetuner.search.run import whole_space
from litetuner.search.runs.folder import RunFolder
from litetuner.search.session import constraints
from litetuner.spaces.errors import LitetunerError

HERE = Path(__file__).parent
REAL_TASKS = (
    *("digits_cnn", "separable", "tcn", "multi_label", "keypoints", "rare_digit", "mask", "two_outputs"),
    *("image_and_table", "transformer"),
)
TRAINED = {"steps": ["prune", "cluster", "qat", "int8"]}  # steps of a `real` search: all its files but one are trained
DRAWN = 300  # number of random candidates that show which steps the space offers
EXACT = 1e-4  # tolerance of scores: absolute up to 1, relative above
DROP = "5%"
EPOCHS = 0.3  # of each training: a few steps are enough to test trained files


def make(names: Sequence[str], folder: Path) -> None:
    """Train the models that do not exist yet, and compute their scores without litetuner."""
    for name in names:
        place, task = folder / name, TASKS[name]
        if (place / "expected.json").exists():
            continue
        place.mkdir(parents=True, exist_ok=True)
        made = task.make()
        x, y = part(made.data, "x"), part(made.data, "y")
        expected = {"scikit-learn": task.score(y, outputs_of(made.model, x), x)}
        if task.keras_metric is not None:
            expected["keras"] = float(made.model.evaluate(x, y, verbose=0, return_dict=True)[task.keras_metric])
        if "model" not in task.keys:
            made.model.save(place / "model.keras")
        np.savez(place / "data.npz", **made.data)  # type: ignore[arg-type]
        (place / "expected.json").write_text(json.dumps(expected))
        print(f"made {name}: {expected}", flush=True)


def outputs_of(model: Any, x: Any) -> Any:
    """The outputs of a Keras model: an array, or arrays by output name."""
    found = model.predict(x, verbose=0)
    if isinstance(found, list):
        return {name: np.asarray(value, np.float32) for name, value in zip(model.output_names, found, strict=True)}
    if isinstance(found, Mapping):
        return {name: np.asarray(value, np.float32) for name, value in found.items()}
    return np.asarray(found, np.float32)


def run_by_hand(file: Path, x: Any) -> Any:
    """The outputs of a ``.tflite``, computed with LiteRT's own API: an array, or arrays by output name."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    inputs, targets = runner.get_input_details(), runner.get_output_details()
    given = x if isinstance(x, dict) else {next(iter(inputs)): x}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in targets}
    for row in range(len(next(iter(given.values())))):
        interpreter.reset_all_variables()
        found = runner(**{name: stored(values[row : row + 1], inputs[name]) for name, values in given.items()})
        for name, value in found.items():
            scale, zero = targets[name]["quantization"]
            rows[name].append((value.astype(np.float32) - zero) * np.float32(scale) if scale else value)
    columns = {name: np.concatenate(values) for name, values in rows.items()}
    return columns if len(columns) > 1 else next(iter(columns.values()))


def stored(x: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """A sample in the data type of an input, quantized if the input has a scale."""
    scale, zero = detail["quantization"]
    if scale:
        limits = np.iinfo(detail["dtype"])
        x = np.clip(np.round(x.astype(np.float32) / np.float32(scale)) + zero, limits.min, limits.max)
    return x.astype(detail["dtype"])


def offered(settings: Mapping[str, Any], folder: Path) -> list[str]:
    """The names of the steps in random candidates from the search space of a finished run."""
    config = make_config(settings)
    inspection = Inspection.from_json(RunFolder(folder).read("inspection") or {})
    around = constraints(config, inspection)
    space = whole_space(types.SimpleNamespace(config=config, inspection=inspection, constraints=around), Ranking())  # type: ignore[arg-type]
    generator = random.Random(0)
    chooser = types.SimpleNamespace(
        one_of=lambda name, options: generator.choice(options), level=lambda name, options: generator.choice(options)
    )
    found = {step.name for _ in range(DRAWN) for step in space.suggest(chooser).steps}
    return sorted(found - {"slim", "float32"})


def agree(one: float, other: float, samples: int) -> bool:
    """True if two scores are equal within 1e-4, or, for scores in [0, 1], differ by at most one sample."""
    exact = abs(one - other) <= EXACT * max(1.0, abs(one))
    return exact or (min(one, other) >= 0 and max(one, other) <= 1 and abs(one - other) <= 1.0001 / samples)


def search(task: Task, folder: Path, trials: int, more: Mapping[str, Any], run_name: str = "run") -> dict[str, Any]:
    """The row of a task: runs a short search as a user would do it, and computes its scores again without litetuner."""
    place, started = folder / task.name, time.monotonic()
    expected = json.loads((place / "expected.json").read_text())
    with np.load(place / "data.npz") as archive:
        data = {key: archive[key] for key in archive.files}
    x, y = part(data, "x"), part(data, "y")
    samples = len(next(iter(x.values())) if isinstance(x, dict) else x)
    settings = {"model": str(place / "model.keras"), "data": str(place / "data.npz"), "out": str(place / run_name)}
    settings |= {"trials": trials, "max_drop": DROP, "max_epochs": EPOCHS} | dict(task.keys) | dict(more)
    row: dict[str, Any] = {"kind": task.kind, "metric": settings["metric"], "samples": samples, "expected": expected}
    row |= {"date": datetime.date.today().isoformat(), "trials": trials}
    try:
        run = litetuner.tune(settings.pop("model"), settings.pop("data"), **settings)
    except LitetunerError as error:
        return row | {"rejected": str(error), "right": task.refusal is not None and task.refusal in str(error)}
    record = run.record()
    baseline = next(trial for trial in record.trials if trial.is_baseline)
    score = baseline.measurements["metric"].value
    row |= {"baseline": score, "baseline_right": all(agree(score, value, samples) for value in expected.values())}
    files = {}
    for trial in record.trials:
        if trial.artifact is not None and trial.state.scored and trial.duplicate_of is None:
            by_hand = task.score(y, run_by_hand(run.path / trial.artifact, x), x)
            recorded = trial.measurements["metric"].value
            same = agree(recorded, by_hand, samples)
            files[trial.number] = {
                "label": trial.candidate.label,
                "recorded": recorded,
                "by_hand": by_hand,
                "right": same,
                "trained": bool(trial.candidate.prefix.steps),
                "latency_us": trial.value("latency_us:host"),
            }
    best = run.best()
    row |= {"files": files, "best": None if best is None else best["label"], "states": states(record.trials)}
    if best is not None:
        row["size"] = baseline.measurements["compressed_bytes"].value / best["compressed_bytes"]
    config = {"model": task.keys.get("model", str(place / "model.keras")), "data": str(place / "data.npz")}
    row["offered"] = offered(config | settings, run.path)
    inspection = RunFolder(run.path).read("inspection") or {}
    row["untrained"] = inspection["model"]["bridge_refusal"]
    row["problems"] = [f"{t.candidate.label}: {t.reason}" for t in record.trials if t.state in ("FAILED", "LOST")]
    true = row["untrained"] is None if task.refusal is None else task.refusal in str(row["untrained"])
    row["right"] = (
        row["baseline_right"] and all(file["right"] for file in files.values()) and true and not row["problems"]
    )
    return row | {"seconds": round(time.monotonic() - started, 1), "load": round(os.getloadavg()[1], 1)}


def states(trials: Sequence[Any]) -> dict[str, int]:
    found = [str(trial.state).lower() for trial in trials]
    return {state: found.count(state) for state in sorted(set(found))}


def one_process(trials: int) -> None:
    """Run all jobs in this process with the handlers of the workers, so that TensorFlow is loaded only once.

    The tests of the examples do the same (tests/one_process.py).
    """
    import pytest

    sys.path.append(str(HERE.parent))
    small: Any = importlib.import_module("tests.one_process")
    small.SMALL = {"trials": trials, "max_epochs": EPOCHS}
    small.small_searches(pytest.MonkeyPatch())
    statistics.RESAMPLING_SECONDS = 0.5  # intervals of slow metrics take most of the time and are not used here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("make", "run", "real", "table"))
    parser.add_argument("--folder", type=Path, default=Path("breadth"))
    parser.add_argument("--only", default="")
    parser.add_argument("--trials", type=int, default=6)
    options = parser.parse_args()
    real = options.command == "real"
    names = options.only.split(",") if options.only else list(REAL_TASKS if real else TASKS)
    results = REAL if real else RESULTS
    folder = options.folder.resolve()
    if options.command == "make":
        make(names, folder)
    elif options.command in ("run", "real"):
        os.chdir(HERE)  # the workers import tasks.own from this folder
        missing = [name for name in names if not (results / f"{name}.json").exists()]
        unmade = [name for name in missing if not (folder / name / "expected.json").exists()]
        if unmade:  # a separate process, because it needs Keras 3 and the search needs legacy Keras
            command = [sys.executable, __file__, "make", "--folder", str(folder), "--only", ",".join(unmade)]
            subprocess.run(command, check=True)
        results.mkdir(parents=True, exist_ok=True)
        if not real:
            one_process(options.trials)
        for name in missing:
            how = (TRAINED, "real") if real else ({}, "run")
            row = search(TASKS[name], folder, options.trials, *how)
            (results / f"{name}.json").write_text(json.dumps(row, indent=1))
            print(f"{'right' if row['right'] else 'WRONG'} {name}", flush=True)
    else:
        (HERE / "breadth.md").write_text(table() + real_table())


if __name__ == "__main__":
    main()
