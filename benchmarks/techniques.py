"""Each technique alone and in pipelines on one model: accuracy, bytes, latency, requested and verified properties.

python benchmarks/techniques.py run NAME --model M.keras --data D.npz --folder WORK [--rows qat,pqat50] [--epochs 2]
python benchmarks/techniques.py table NAME

Each row is written to benchmarks/results/techniques/NAME/<row>.json and not computed again. Trainings that several rows
share run once and are cached in WORK. `table` makes benchmarks/results/techniques_NAME.md from the stored rows.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from laboratory import laboratory

from litetuner.objectives.environment import environment
from litetuner.search.config.config import make_config
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Step
from litetuner.spaces.steps import STEPS
from litetuner.spaces.store import write_atomic

RESULTS = Path(__file__).parent / "results"
CUT_MENDING = 4.0  # fine-tuning after channel pruning has this many times the epochs
# Weights. Kernels with fewer weights hardly affect the size, and clustering some of them costs accuracy (ResNet8: 1.2
# points).
LARGE = 800
FOLDED_RATE = 3e-5  # learning rate for folded networks: without batch normalization, training diverges at 1e-3


def step(name: str, **knobs: Any) -> Step:
    return STEPS[name](**knobs)


def rows(epochs: float, small: tuple[str, ...] = ()) -> dict[str, tuple[Step, ...]]:
    """The steps of each row, without the final slimming of all rows but the baseline.

    ``small``: layers with few weights.
    """
    fit: dict[str, Any] = {"epochs": epochs, "learning_rate": 1e-3, "distill": 1.0}
    prune = step("prune", sparsity=0.5, spread="global", **fit)
    clusters = {count: step("cluster", count=count, **fit) for count in (16, 32)}
    kept = {count: step("cluster", count=count, preserve_sparsity=True, **fit) for count in (16, 32)}
    int8, float32 = step("int8"), step("float32")
    found: dict[str, tuple[Step, ...]] = {
        "float32": (float32,),
        "float16": (step("float16"),),
        "dynamic": (step("dynamic"),),
        "int8": (int8,),
        "int8_io": (step("int8", io="int8"),),
        "int16x8": (step("int16x8"),),
        "finetune+int8": (step("finetune", **fit), int8),
        "prune50+int8": (prune, int8),
        "prune50+sparse": (prune, float32, step("sparse")),
        "prune80+int8": (step("prune", sparsity=0.8, spread="global", **fit), int8),
        "cluster16+int8": (clusters[16], int8),
        "cluster32+int8": (clusters[32], int8),
        "qat": (step("qat", **fit), int8),
        "pqat50": (prune, step("qat", preserve_sparsity=True, **fit), int8),
        "cqat16": (clusters[16], step("qat", preserve_clusters=True, **fit), int8),
        "cqat32": (clusters[32], step("qat", preserve_clusters=True, **fit), int8),
        "pcqat50_16": (prune, kept[16], step("qat", preserve_sparsity=True, preserve_clusters=True, **fit), int8),
    }
    low = fit | {"learning_rate": FOLDED_RATE}
    whole = step("qat", preserve_clusters=True, scales="tensor", **low)
    found["qat_tensor"] = (step("qat", scales="tensor", **low), int8)
    found["pqat50_tensor"] = (prune, step("qat", preserve_sparsity=True, scales="tensor", **low), int8)
    clipped = (float32, step("ptq", recipe="static_wi8_ai8", algorithm="mse", granularity="tensor", io="float32"))
    found["clipped"] = clipped
    found["prune50+clipped"] = (prune, *clipped)
    for count in (16, 32):
        folded = step("cluster", count=count, fold=True, **low)
        found[f"folded{count}+int8"] = (folded, step("int8", scales="tensor"))
        found[f"folded_cqat{count}"] = (folded, whole, int8)
        large = step("cluster", count=count, fold=True, skip=small, **low)
        found[f"folded{count}_large+int8"] = (large, step("int8", scales="tensor"))
        found[f"folded_cqat{count}_large"] = (large, whole, int8)
    mend = step("finetune", **fit | {"epochs": CUT_MENDING * epochs, "learning_rate": 3e-3})
    for ratio in (0.25, 0.5):
        found[f"channels{round(100 * ratio)}+int8"] = (step("channels", ratio=ratio), mend, int8)
    found["channels50_inner+int8"] = (step("channels", ratio=0.5, spread="inner"), mend, int8)
    cut = (step("channels", ratio=0.25), mend)
    found["channels25+pcqat50_16"] = (
        *cut,
        prune,
        kept[16],
        step("qat", preserve_sparsity=True, preserve_clusters=True, **fit),
        int8,
    )
    return found


def measure(name: str, options: argparse.Namespace) -> None:
    config = make_config({"model": options.model, "data": options.data, "time_budget": "10h", "seed": options.seed})
    with laboratory(config, options.folder) as room:
        layers = room.services.inspection.model.layers
        wanted = rows(
            options.epochs,
            tuple(sorted(layer.name for layer in layers if layer.has_kernel and layer.parameters < LARGE)),
        )
        chosen = options.rows.split(",") if options.rows else list(wanted)
        for row in chosen:
            path = RESULTS / "techniques" / name / f"{row}.json"
            if path.exists():
                continue
            started = time.monotonic()
            slim = () if row == "float32" else (step("slim"),)
            trial = room.measure(Candidate((*wanted[row], *slim)))
            path.parent.mkdir(parents=True, exist_ok=True)
            record = {
                "row": row,
                "epochs": options.epochs,
                "seconds": round(time.monotonic() - started, 1),
                "environment": environment(),
                "trial": trial.to_json(),
            }
            write_atomic(path, json.dumps(record, indent=1) + "\n")
            print(f"{row}: {trial.state} {trial.reason or ''} {_cells(trial)}", flush=True)


def _cells(trial: Trial) -> list[str]:
    drop, metric = trial.measurements.get("drop"), trial.value("metric")
    if metric is None or drop is None or drop.interval is None:
        return [str(trial.state), "", "", "", "", "", ""]
    low, high = (100 * end for end in drop.interval)
    kept = sum(bool(item["ok"]) for item in trial.invariants)
    return [
        f"{100 * metric:.2f}",
        f"{100 * drop.value:+.2f} ({low:+.2f} to {high:+.2f})",
        f"{trial.value('file_bytes'):,.0f}",
        f"{trial.value('compressed_bytes'):,.0f}",
        f"{trial.value('latency_us:host'):.1f}",
        f"{trial.value('latency_ratio:host'):.2f}",
        f"{kept} of {len(trial.invariants)}",
    ]


def table(name: str) -> None:
    folder = RESULTS / "techniques" / name
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    head = [
        "row",
        "label",
        "accuracy %",
        "drop, points (95 %)",
        "file B",
        "compressed B",
        "us",
        "ratio to float32",
        "requested and verified",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows(1.0):
        if row in found:
            trial = Trial.from_json(found[row]["trial"])
            lines.append("| " + " | ".join([row, f"`{trial.candidate.label}`", *_cells(trial)]) + " |")
    write_atomic(RESULTS / f"techniques_{name}.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("name")
    parser.add_argument("--model")
    parser.add_argument("--data")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rows", default="")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "run":
        measure(options.name, options)
    table(options.name)


if __name__ == "__main__":
    main()
