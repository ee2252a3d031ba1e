"""Computes the figures of docs/how-to/microcontrollers.md.

They are Vela's estimates (compared with its own command line), arenas, look-up tables, and agreement with the reference
kernels.

python benchmarks/microcontrollers.py FILE.tflite... [--inputs NAME=SAMPLES.npz ...] [--out FIGURES.json]

``SAMPLES.npz`` holds real inputs ``x`` for the files whose names begin with NAME. Other files get random inputs (seed
0); ``real_inputs`` in the output says which. Results in the output file are not computed again, so the same command
resumes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.files.arena import plan_arena
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.vela import compiler
from litetuner.objectives.tflm import interpreter
from litetuner.objectives.tflm.agreement import FilePorts, compare_outputs
from litetuner.objectives.tflm.compression import compress, find_tables, flash_of
from litetuner.spaces.errors import CandidateError

ACCELERATORS = ("ethos-u55-64", "ethos-u55-256", "ethos-u65-256", "ethos-u85-256")
SAMPLES = 200


def vela_figures(file: Path) -> dict[str, Any]:
    """The numbers of the target by accelerator, and whether they equal those of Vela's command line."""
    found = {}
    for accelerator in ACCELERATORS:
        timing = find_target(f"vela:{accelerator}").target.time(file, file)
        if timing.latency_us is None:
            found[accelerator] = {"misfit": timing.misfit}
            continue
        told = {"us": round(timing.latency_us.value, 3)}
        told |= {name: int(value.value) for name, value in timing.others.items()}
        found[accelerator] = told | {"equals_command_line": told == command_line(file, accelerator)}
    return found


def command_line(file: Path, accelerator: str) -> dict[str, Any]:
    """The numbers that Vela's command line writes for a file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ethosu.vela", str(file), "--accelerator-config", accelerator]
        subprocess.run([*command, "--output-dir", folder], check=True, capture_output=True, timeout=120)
        (summary,) = Path(folder).glob("*_summary_*.csv")
        with summary.open(newline="") as text:
            (row,) = csv.DictReader(text)
        (compiled,) = Path(folder).glob("*_vela.tflite")
        memory = {"flash_bytes": compiled.stat().st_size, "sram_bytes": round(1024 * float(row["sram_memory_used"]))}
    return {"us": round(1e6 * float(row["inference_time"]), 3)} | memory


def micro_figures(content: bytes, x: np.ndarray | None) -> dict[str, Any]:
    """Arena, agreement with the reference kernels, look-up tables, and an intentional mismatch."""
    ports = FilePorts(content)
    if x is None:
        shapes = [tuple(detail["shape"][1:]) for detail in ports.inputs]
        x = np.random.default_rng(0).normal(size=(SAMPLES, *shapes[0])).astype(np.float32)
    inputs = ports.raw_inputs(x[:SAMPLES])
    ran = interpreter.run_micro(content, inputs)
    arena = {"planned": plan_arena(content).total_bytes, "used": ran.arena.total}
    arena |= {"head": ran.arena.head, "tail": ran.arena.tail}
    flash = flash_of(content, inputs)
    found: dict[str, Any] = {"samples": len(inputs[0]), "arena": arena, "file_bytes": len(content)}
    expected = interpreter.run_reference(content, inputs)
    found["agreement"] = "not run" if expected is None else compare_outputs(ran.outputs, expected).to_json()
    found["flash"] = {"bytes": flash.size, "reason": flash.reason, "added_arena": flash.arena_bytes}
    found["flash"] |= {"tables": [[table.bits, table.plain_bytes] for table in flash.tables], "equal_on": flash.samples}
    tables = find_tables(content)
    if flash.file is not None and tables[0].axis is not None:
        one = [type(tables[0])(tables[0].tensor, 7, None, tables[0].plain_bytes, tables[0].table_bytes)]
        try:
            found["mismatch_on_purpose"] = compress(content, one, inputs).agreement.to_json()
        except CandidateError as error:
            found["mismatch_on_purpose"] = str(error)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--inputs", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/microcontrollers.json"))
    given = parser.parse_args()
    inputs = dict(text.split("=", 1) for text in given.inputs)
    done: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    versions = {"vela": compiler.version(), "tflite_micro": interpreter.version()}
    for file in given.files:
        content = file.read_bytes()
        key = f"{file.name} {hashlib.sha256(content).hexdigest()[:12]}"
        if done.get(key, {}).get("versions") == versions:
            continue
        name = next((name for name in inputs if file.name.startswith(name)), None)
        x = None if name is None else np.load(inputs[name])["x"]
        found = {"versions": versions, "real_inputs": name is not None}
        done[key] = found | {"vela": vela_figures(file), "micro": micro_figures(content, x)}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(done, indent=1) + "\n")
        sys.stdout.write(f"{key}\n{json.dumps(done[key])}\n")


if __name__ == "__main__":
    main()
