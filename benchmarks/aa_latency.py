"""A/A benchmark of latency: the same file timed twice should have a ratio of 1.

``python benchmarks/aa_latency.py FILE.tflite --pairs 50 --beside-training --out results.json`` times the file in pairs of
separate runs of the target ``host`` and prints the share of pairs within 2 %. With ``--against OTHER.tflite`` the second
of each pair is another file (A/B): how often is it told apart? See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litetuner.objectives import runner
from litetuner.objectives.environment import environment, host_warnings
from litetuner.objectives.targets.host import Host

BOUND = 0.02


def burn(parent: int) -> None:
    """Train a small network for ever, on all cores, until the parent ends."""
    runner.die_with(parent)
    from litetuner.spaces import tf as lazy

    tf = lazy.load()
    import numpy as np
    import tf_keras

    layers = [tf_keras.layers.Conv2D(32, 3, activation="relu", padding="same") for _ in range(4)]
    model = tf_keras.Sequential([*layers, tf_keras.layers.Flatten(), tf_keras.layers.Dense(10)])
    model.compile(loss=tf.keras.losses.MeanSquaredError())
    rng = np.random.default_rng(0)
    x, y = rng.random((256, 32, 32, 3), dtype=np.float32), rng.random((256, 10), dtype=np.float32)
    model.train_on_batch(x, y)
    sys.stdout.write("training\n")
    sys.stdout.flush()
    while True:
        model.train_on_batch(x, y)


class Training:
    """The training job beside the timings; ``paused`` suspends it unless it is to go on."""

    def __init__(self, wanted: bool, suspend: bool) -> None:
        self.suspend, self.process = suspend, None
        if wanted:
            argv = [sys.executable, str(Path(__file__).resolve()), "--burn", str(os.getpid())]
            self.process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
            )
            if self.process.stdout is None or self.process.stdout.readline() != b"training\n":
                raise SystemExit("the training job did not start")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        if self.process is None or not self.suspend:
            yield
            return
        time.sleep(0.5)  # it trains between the timings
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two timings: ``ratio`` is the second's baseline-normalised latency over the first's, ``raw`` without the baseline."""

    ratio: float
    raw: float
    told_apart: bool  # the intervals of the two do not overlap
    stable: bool
    seconds: float
    documents: tuple[dict[str, Any], dict[str, Any]]


def time_pair(host: Host, files: tuple[Path, Path], baseline: Path, training: Training) -> Pair:
    """Time one file, then the other, as two trials of a search would be."""
    start = time.perf_counter()
    found = []
    for file in files:
        with training.paused():
            found.append(host.measure(file, baseline))
    first, second = found
    (low1, high1), (low2, high2) = (one["ratio"]["interval"] for one in found)
    return Pair(
        ratio=first["ratio"]["value"] / second["ratio"]["value"],
        raw=second["latency_us"]["value"] / first["latency_us"]["value"],
        told_apart=high1 < low2 or high2 < low1,
        stable=first["stable"] and second["stable"],
        seconds=time.perf_counter() - start,
        documents=(first, second),
    )


def summarise(pairs: list[Pair]) -> dict[str, Any]:
    """The shares that the benchmark is about; ``*_stable`` counts only pairs in which both runs call themselves stable."""
    stable = [pair for pair in pairs if pair.stable]
    ordered = sorted(pair.ratio for pair in pairs)
    return {
        "pairs": len(pairs),
        "within_2_percent": share([abs(pair.ratio - 1) <= BOUND for pair in pairs]),
        "within_2_percent_raw": share([abs(pair.raw - 1) <= BOUND for pair in pairs]),
        "told_apart": share([pair.told_apart for pair in pairs]),
        "stable": share([pair.stable for pair in pairs]),
        "within_2_percent_stable": share([abs(pair.ratio - 1) <= BOUND for pair in stable]),
        "ratio_median": ordered[len(ordered) // 2],
        "ratio_lowest": ordered[0],
        "ratio_highest": ordered[-1],
        "latency_us": sorted(pair.documents[0]["latency_us"]["value"] for pair in pairs)[len(pairs) // 2],
        "seconds_a_timing": sum(pair.seconds for pair in pairs) / 2 / len(pairs),
    }


def share(truths: list[bool]) -> float | None:
    return sum(truths) / len(truths) if truths else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the same file in pairs and say how often the two agree.")
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument(
        "--against", type=Path, help="the second of each pair: another file (A/B); default: the same (A/A)"
    )
    parser.add_argument("--baseline", type=Path, help="interleaved with each timing; default: the file itself")
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--tolerance", type=float, default=Host.tolerance)
    parser.add_argument("--max-seconds", type=float, default=Host.max_seconds)
    parser.add_argument("--beside-training", action="store_true", help="with a training job of our own")
    parser.add_argument("--unsuspended", action="store_true", help="leave that job running while timing")
    parser.add_argument("--out", type=Path, help="all runs as JSON")
    parser.add_argument("--burn", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.burn is not None:
        burn(options.burn)
    if options.file is None:
        parser.error("which file?")
    host = Host(tolerance=options.tolerance, max_seconds=options.max_seconds)
    warnings = host_warnings()
    files = (options.file, options.against or options.file)
    training = Training(options.beside_training, not options.unsuspended)
    pairs: list[Pair] = []
    try:
        for _ in range(options.pairs):
            pairs.append(time_pair(host, files, options.baseline or options.file, training))
            print(f"{len(pairs)}: {pairs[-1].ratio:.4f}{'' if pairs[-1].stable else ' unstable'}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"stopped after {len(pairs)} of {options.pairs} pairs", file=sys.stderr)
    finally:
        training.close()
    if not pairs:
        raise SystemExit("no pair was finished")
    summary = summarise(pairs)
    print(json.dumps(summary, indent=1))
    if options.out:
        settings = {name: str(value) for name, value in vars(options).items() if value is not None}
        document = {"schema_version": 1, "summary": summary, "settings": settings, "warnings": warnings}
        document |= {"environment": environment(), "pairs": [dataclasses.asdict(pair) for pair in pairs]}
        options.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
