"""The step reconstruct on two models: accuracy of the finished file under LiteRT, its compressed size, and the time it takes.

python benchmarks/reconstruction.py FOLDER [--out benchmarks/reconstruction.md] [--rows int4,50]

FOLDER holds resnet8_cifar10.keras, cifar10.npz, dscnn_fsdd.keras and fsdd_logmel.npz. No labels are used but for scoring.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from litetuner.objectives.environment import environment
from litetuner.spaces.context import Context
from litetuner.spaces.models.loading.load import load_model
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.reconstruct import Reconstruct
from litetuner.spaces.steps.slim import Slim

CALIBRATION = 200
PACKAGES = ("ai-edge-litert", "litert-quantizer", "numpy", "tensorflow")
ROWS = {  # the step, then the goals of ResNet8 and DS-CNN
    "int8": (Reconstruct(), None, None),
    "int4": (Reconstruct(bits=4), 0.860, 0.985),
    "50": (Reconstruct(sparsity=0.5), 0.858, 0.985),
    "70": (Reconstruct(sparsity=0.7), 0.840, 0.96),
    "16": (Reconstruct(clusters=16), 0.860, 0.985),
    "8": (Reconstruct(clusters=8), 0.855, None),
    "8_keep2": (Reconstruct(clusters=8, keep=2), 0.855, None),
    "50_16": (Reconstruct(sparsity=0.5, clusters=16), 0.855, None),
    "70_16": (Reconstruct(sparsity=0.7, clusters=16), None, None),
    "int3": (Reconstruct(bits=3, keep=2), 0.845, None),
    "int2": (Reconstruct(bits=2, keep=2), 0.82, None),
}
MODELS = (("resnet8_cifar10.keras", "cifar10.npz"), ("dscnn_fsdd.keras", "fsdd_logmel.npz"))


def accuracy(file: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """Share of right answers of a file with float32 inputs and outputs, one thread."""
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


def measure(folder: Path, model: str, data: str, chosen: list[str]) -> list[dict[str, object]]:
    """A record for each row, the float file first."""
    with np.load(folder / data) as arrays:
        train, search, labels = arrays["x_train"], arrays["x_search"], arrays["y_search"].ravel()
    if train.ndim == 3:
        train, search = train[..., None], search[..., None]
    drawn = np.sort(np.random.default_rng(0).permutation(len(train))[:CALIBRATION])
    context = Context(train, np.zeros(0), train[drawn].astype(np.float32), "", 32, seed=0)
    file = Float32().apply(load_model(str(folder / model)).model, context)
    found: list[dict[str, object]] = [
        {"row": "float32", "accuracy": accuracy(file, search, labels), "compressed": len(zlib.compress(file, 9))}
    ]
    started = time.process_time()
    Reconstruct(sparsity=0.5).apply(file, context)  # sensitivities are measured once for a float file
    shared = time.process_time() - started
    for row in chosen:
        step = dataclasses.replace(ROWS[row][0], io="float32")
        started = time.process_time()
        built, notes = step.apply_with_notes(file, context)
        seconds = time.process_time() - started
        finished = Slim().apply(built, context)
        record = {
            "row": row,
            "label": step.label(),
            "keep": step.keep,
            "accuracy": accuracy(finished, search, labels),
            "goal": ROWS[row][1 if model.startswith("resnet8") else 2],
            "compressed": len(zlib.compress(finished, 9)),
            "cpu_seconds": round(seconds, 2),
            "first_cpu_seconds": round(shared, 2),
            "notes": notes,
        }
        found.append(record)
        print(model, json.dumps(record), flush=True)
    return found


def table(found: dict[str, list[dict[str, object]]]) -> str:
    """The records as Markdown."""
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
            cells += [record.get("goal") or "", f"{record['compressed']:,}", record.get("cpu_seconds", "")]
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
        found = {model: measure(given.folder, model, data, given.rows.split(",")) for model, data in MODELS}
    text = table(found)
    print(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
