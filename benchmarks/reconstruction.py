"""The steps reconstruct and narrow: accuracy of the finished file under LiteRT, compressed size, and CPU time.

python benchmarks/reconstruction.py FOLDER [--out benchmarks/reconstruction.md] [--rows int4,50]

FOLDER holds resnet8_cifar10.keras with cifar10.npz, dscnn_fsdd.keras with fsdd_logmel.npz, or mobilenetv2.tflite (a
float file) with mobilenetv2.npz. Missing models are left out. Labels are used only for scoring.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import time
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from litetuner.objectives.environment import environment
from litetuner.spaces.context import Context
from litetuner.spaces.models.loading.load import load_model
from litetuner.spaces.step import Step
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.narrow import Narrow
from litetuner.spaces.steps.reconstruct import Reconstruct
from litetuner.spaces.steps.slim import Slim

CALIBRATION = 200
PACKAGES = ("ai-edge-litert", "litert-quantizer", "numpy", "tensorflow")
INT8 = Reconstruct()
ROWS: dict[str, tuple[Step, ...]] = {
    "int8": (INT8,),
    "int4": (Reconstruct(bits=4),),
    "50": (Reconstruct(sparsity=0.5),),
    "70": (Reconstruct(sparsity=0.7),),
    "16": (Reconstruct(clusters=16),),
    "8": (Reconstruct(clusters=8),),
    "8_keep2": (Reconstruct(clusters=8, keep=2),),
    "50_16": (Reconstruct(sparsity=0.5, clusters=16),),
    "70_16": (Reconstruct(sparsity=0.7, clusters=16),),
    "int3": (Reconstruct(bits=3, keep=2),),
    "int2": (Reconstruct(bits=2, keep=2),),
    "half": (Narrow(0.5), INT8),
    "half_inner": (Narrow(0.5, "inner"), INT8),
    "macs_eighth": (Narrow(0.125, "sensitivity"), INT8),
    "macs_quarter": (Narrow(0.25, "sensitivity"), INT8),
    "macs_half": (Narrow(0.5, "sensitivity"), INT8),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, its data, and the goal for the accuracy of each row."""

    model: str
    data: str
    goals: Mapping[str, float]
    # Goals as accuracy drops from the float file.
    drops: Mapping[str, float] = dataclasses.field(default_factory=dict)


_RESNET8 = {"int4": 0.86, "50": 0.858, "70": 0.84, "16": 0.86, "8": 0.855, "8_keep2": 0.855, "50_16": 0.855}
CASES = (
    Case(
        "resnet8_cifar10.keras",
        "cifar10.npz",
        _RESNET8 | {"int3": 0.845, "int2": 0.82, "half": 0.6, "half_inner": 0.74},
    ),
    Case("dscnn_fsdd.keras", "fsdd_logmel.npz", {"int4": 0.985, "50": 0.985, "70": 0.96, "16": 0.985, "half": 0.975}),
    Case("mobilenetv2.tflite", "mobilenetv2.npz", {}, {"int4": 0.02, "50": 0.01}),
)


def accuracy(file: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """The accuracy of a file with float32 inputs and outputs, computed with one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    right = 0
    for sample, label in zip(x, y, strict=True):
        interpreter.set_tensor(source["index"], sample[None].astype(np.float32))
        interpreter.invoke()
        right += int(interpreter.get_tensor(result["index"]).argmax() == label)
    return right / len(x)


def measure(folder: Path, case: Case, chosen: list[str]) -> list[dict[str, Any]]:
    """A record for each row; the first is the float file."""
    with np.load(folder / case.data) as arrays:
        train, search, labels = arrays["x_train"], arrays["x_search"], arrays["y_search"].ravel()
    if train.ndim == 3:
        train, search = train[..., None], search[..., None]
    drawn = np.sort(np.random.default_rng(0).permutation(len(train))[:CALIBRATION])
    context = Context(train, np.zeros(0), train[drawn].astype(np.float32), "", 32, seed=0)
    path = folder / case.model
    file = path.read_bytes() if path.suffix == ".tflite" else Float32().apply(load_model(str(path)).model, context)
    whole = accuracy(file, search, labels)
    goals = case.goals | {row: whole - drop for row, drop in case.drops.items()}
    found: list[dict[str, Any]] = [{"row": "float32", "accuracy": whole, "compressed": len(zlib.compress(file, 9))}]
    started = time.process_time()
    Reconstruct(sparsity=0.5).apply(file, context)  # measures the sensitivities, which are cached for the float file
    shared = time.process_time() - started
    for row in chosen:
        *before, last = ROWS[row]
        steps = (*before, dataclasses.replace(last, io="float32"))  # type: ignore[call-arg]
        built, notes = file, []
        started = time.process_time()
        for step in steps:
            built, said = step.apply_with_notes(built, context)
            notes += said
        seconds = time.process_time() - started
        finished = Slim().apply(built, context)
        record = {
            "row": row,
            "label": " + ".join(step.label() for step in steps) + (" (inner)" if row.endswith("inner") else ""),
            "keep": getattr(last, "keep", 0),
            "accuracy": accuracy(finished, search, labels),
            "goal": goals.get(row),
            "compressed": len(zlib.compress(finished, 9)),
            "cpu_seconds": round(seconds, 2),
            "first_cpu_seconds": round(shared, 2),
            "notes": notes,
        }
        found.append(record)
        print(case.model, json.dumps(record), flush=True)
    return found


def table(found: Mapping[str, list[dict[str, Any]]]) -> str:
    """The records as Markdown tables."""
    where = environment()
    versions = ", ".join(f"{name} {version}" for name, version in where["packages"].items() if name in PACKAGES)
    lines = [
        "# Reconstruction without training",
        "",
        "    python benchmarks/reconstruction.py FOLDER --out benchmarks/reconstruction.md",
        "",
        f"{datetime.date.today()}, one thread of {where['cpu']}, {where['cores']} cores, {versions}.",
        "Seconds are CPU seconds of reconstruction and quantization, without slimming and scoring, on a loaded machine.",
        "Accuracy is that of the finished file under LiteRT on the search split. 512 training samples without labels are used",
        f"for reconstruction and {CALIBRATION} for activation ranges, drawn with seed 0.",
    ]
    for model, records in found.items():
        lines += [
            "",
            f"## {model}",
            "",
            "| label | kept layers | accuracy | goal | compressed size | CPU seconds |",
            "|---|---|---|---|---|---|",
        ]
        for record in records:
            cells = [record.get("label", record["row"]), record.get("keep", ""), f"{record['accuracy']:.4f}"]
            cells += [
                "" if record.get("goal") is None else f"{record['goal']:.4f}",
                f"{record['compressed']:,}",
                record.get("cpu_seconds", ""),
            ]
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        first = records[-1].get("first_cpu_seconds")
        lines += [
            "",
            f"The first candidate that prunes or keeps layers took {first} CPU seconds, because sensitivities are measured once.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", default=",".join(ROWS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        there = [case for case in CASES if (given.folder / case.model).exists()]
        found = {case.model: measure(given.folder, case, given.rows.split(",")) for case in there}
    text = table(found)
    print(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
