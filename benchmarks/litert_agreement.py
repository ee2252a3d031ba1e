"""Compares litetuner's p50 with the median of LiteRT's tool ``litert-benchmark``, in alternation on the same files.

python benchmarks/litert_agreement.py FILE.tflite... [--rounds 3] [--out benchmarks/results/litert_agreement.json]

The tool runs a compiled model on the CPU with one thread and rounds its median to 0.01 ms. The two should agree within
5 % plus this rounding. The tool is pinned to one core, like litetuner's runner; otherwise its first runs move between
cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from litetuner.objectives.environment import environment, host_warnings
from litetuner.objectives.targets.host import Host

ROUNDING_US = 5.0  # half of 0.01 ms, to which the tool rounds
AGREES = 0.05


def tool_median_us(file: Path, runs: int, core: int) -> float:
    """The median of the tool in microseconds, from its JSON."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        argv = [
            str(Path(sys.executable).with_name("litert-benchmark")),
            "--model",
            str(file),
            "--result_json",
            str(result),
        ]
        argv += ["--num_runs", str(runs), "--warmup_runs", "50", "--num_threads", "1"]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, preexec_fn=lambda: os.sched_setaffinity(0, [core])
        )
        if done.returncode or not result.exists():
            raise SystemExit(f"litert-benchmark failed on {file}: {done.stderr[-500:]}")
        return float(find(json.loads(result.read_text()), "median_ms")) * 1000


def find(document: Any, key: str) -> Any:
    """The first value of ``key`` in nested dictionaries, ``None`` if there is none."""
    if isinstance(document, dict):
        for name, value in document.items():
            found = value if name == key else find(value, key)
            if found is not None:
                return found
    return None


def compare(file: Path, rounds: int, runs: int) -> dict[str, Any]:
    """Measure with both in alternation, and compare the medians over the rounds."""
    ours, theirs = [], []
    for _ in range(rounds):
        document = Host().measure(file)
        ours.append(document["latency_us"]["p50"])
        cores = document["environment"]["pinned_cores"] or sorted(os.sched_getaffinity(0))
        theirs.append(tool_median_us(file, runs, cores[0]))
    p50, median = statistics.median(ours), statistics.median(theirs)
    apart = max(abs(p50 - median) - ROUNDING_US, 0.0) / median
    found = {
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "p50_us": p50,
        "tool_us": median,
    }
    return found | {"apart": apart, "agrees": apart <= AGREES, "p50s_us": ours, "tools_us": theirs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=300, help="invokes of the tool in a round")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings, results = host_warnings(), []
    for file in options.files:
        results.append(compare(file, options.rounds, options.runs))
        last = results[-1]
        print(
            f"{last['file']}: p50 {last['p50_us']:.1f} us, litert-benchmark {last['tool_us']:.1f} us, {last['apart']:.1%} apart"
        )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        document = {"schema_version": 1, "results": results, "warnings": warnings, "environment": environment()}
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    raise SystemExit(0 if all(result["agrees"] for result in results) else 1)


if __name__ == "__main__":
    main()
