"""A/A benchmark of latency: if one file is timed as two trials, the ratio should be 1 and the verdict a tie.

python benchmarks/aa_latency.py FILE.tflite --pairs 50 --beside training --out benchmarks/results/aa_NAME.json

Each timing is done as for a trial of a search: on the target ``host``, in a fresh process, in alternation with the
baseline. ``--beside training`` runs a TensorFlow training job, which is suspended (SIGSTOP) during timings, as a search
suspends its workers. With ``--against OTHER.tflite`` the second file of each pair is another one (A/B): how often is it
distinguished? With ``--out`` every finished pair is stored, and the same command resumes. ``latency_models.py`` makes
the files; see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litetuner.objectives.environment import environment, host_warnings
from litetuner.objectives.measurement import Measurement
from litetuner.objectives.runner.machine import die_with
from litetuner.objectives.statistics import faster
from litetuner.objectives.targets.host import Host
from litetuner.search.config.config import make_config
from litetuner.search.evaluation.candidate_jobs import train_job
from litetuner.search.listener import Listener
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.executors.local import Local
from litetuner.search.session import open_session
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.steps import STEPS

BOUND = 0.02
VARYING = (  # values of the environment that are stored for each timing; the others are stored once in the file
    "pinned_cores",
    "frequency_mhz",
    "frequency_mhz_after",
    "others_on_core",
    "others_on_other_cores",
    "stolen_by_hypervisor",
    "lost_time_slices",
    "throttled",
    "priority",
    "delegate",
    "threads",
    "load_average_before",
    "load_average_after",
)


def burn(parent: int) -> None:
    """Train a small network on all cores until the parent process ends."""
    die_with(parent)
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
    """A training job that runs beside the timings. ``paused`` suspends it, if ``suspend`` is set."""

    def __init__(self, wanted: bool, suspend: bool) -> None:
        self.suspend, self.process = suspend, None
        if wanted:
            argv = [sys.executable, "-P", str(Path(__file__).resolve()), "--burn", str(os.getpid())]
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
        time.sleep(0.5)  # lets it train between the timings
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class ParallelTrial:
    """A training job in the executor of a search, which suspends it during timings, as for a parallel trial."""

    def __init__(self, model: Path, data: Path) -> None:
        self._folder = tempfile.TemporaryDirectory()
        config = make_config({"model": str(model), "data": str(data)})
        folder = RunFolder(Path(self._folder.name) / "run")
        folder.create()
        candidate = Candidate((STEPS["finetune"](epochs=100.0), STEPS["int8"]()))
        with open_session(config, folder, Listener()) as session:
            job = train_job(session.services, candidate, 0, [])
        self._executor = Local(folder, config)
        self._result = self._executor.submit(job)
        time.sleep(10.0)  # waits for the imports of the job

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        time.sleep(0.5)  # lets it train between the timings
        if self._result.done():
            raise SystemExit("the training ended before the timings did")
        with self._executor.quiet():
            yield

    def close(self) -> None:
        self._executor.close()
        self._folder.cleanup()


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two timings. ``ratio`` is the second latency over the first, both relative to the baseline; ``raw`` without it.

    ``verdict`` compares the first with the second: ``faster``, ``slower`` or ``tie`` (objectives/statistics.py).
    """

    ratio: float
    raw: float
    verdict: str
    stable: bool
    seconds: float
    documents: tuple[dict[str, Any], dict[str, Any]]


def time_pair(host: Host, files: tuple[Path, Path], baseline: Path, training: Training | ParallelTrial) -> Pair:
    """Time one file, then the other, as for two trials of a search."""
    start = time.perf_counter()
    found = []
    for file in files:
        with training.paused():
            found.append(host.measure(file, baseline))
    first, second = found
    return Pair(
        ratio=first["ratio"]["value"] / second["ratio"]["value"],
        raw=second["latency_us"]["value"] / first["latency_us"]["value"],
        verdict=faster(latency(first), latency(second)),
        stable=first["stable"] and second["stable"],
        seconds=time.perf_counter() - start,
        documents=(first, second),
    )


def latency(document: dict[str, Any]) -> Measurement:
    """The latency in a document of the runner, as the measurement of a trial."""
    found, extra = document["latency_us"], {"ratio": document["ratio"]}
    return Measurement(found["value"], "us", document["environment"], tuple(found["interval"]), extra=extra)


def summarise(pairs: list[Pair]) -> dict[str, Any]:
    """The results of the benchmark. ``*_stable`` counts only pairs in which both timings are marked as stable."""
    stable = [pair for pair in pairs if pair.stable]
    ordered = sorted(pair.ratio for pair in pairs)
    return {
        "pairs": len(pairs),
        "within_2_percent": share([abs(pair.ratio - 1) <= BOUND for pair in pairs]),
        "within_2_percent_raw": share([abs(pair.raw - 1) <= BOUND for pair in pairs]),
        "told_apart": share([pair.verdict != "tie" for pair in pairs]),
        "first_is_faster": share([pair.verdict == "faster" for pair in pairs]),
        "stable": share([pair.stable for pair in pairs]),
        "within_2_percent_stable": share([abs(pair.ratio - 1) <= BOUND for pair in stable]),
        "told_apart_stable": share([pair.verdict != "tie" for pair in stable]),
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
    parser.add_argument(
        "--beside", choices=("idle", "training", "trial"), default="idle", help="what else of ours runs"
    )
    parser.add_argument(
        "--trial", type=Path, nargs=2, metavar=("MODEL", "DATA"), help="what is trained with --beside trial"
    )
    parser.add_argument("--unsuspended", action="store_true", help="leave that job running while timing")
    parser.add_argument("--out", type=Path, help="all runs as JSON; pairs that are there already are kept")
    parser.add_argument("--burn", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.burn is not None:
        burn(options.burn)
    if options.file is None:
        parser.error("which file?")
    if (options.beside == "trial") != (options.trial is not None) or (options.trial and options.unsuspended):
        parser.error("--beside trial needs --trial MODEL DATA, and the executor always suspends")
    host = Host(tolerance=options.tolerance, max_seconds=options.max_seconds)
    files = (options.file, options.against or options.file)
    settings = {
        "files": [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*files, options.baseline or options.file)],
        "names": [path.name for path in (*files, options.baseline or options.file)],
        "beside": options.beside,
        "suspended": not options.unsuspended,
        "tolerance": options.tolerance,
        "max_seconds": options.max_seconds,
    }
    pairs = known_pairs(options.out, settings)
    training: Training | ParallelTrial
    if options.beside == "trial":
        training = ParallelTrial(*options.trial)
    else:
        training = Training(options.beside == "training" and len(pairs) < options.pairs, not options.unsuspended)
    warnings = host_warnings()
    try:
        while len(pairs) < options.pairs:
            pairs.append(time_pair(host, files, options.baseline or options.file, training))
            last = pairs[-1]
            print(
                f"{len(pairs)}: {last.ratio:.4f} {last.verdict}{'' if last.stable else ', unstable'}", file=sys.stderr
            )
            write(options.out, pairs, settings, warnings)
    except KeyboardInterrupt:
        print(f"stopped after {len(pairs)} of {options.pairs} pairs", file=sys.stderr)
    finally:
        training.close()
    if not pairs:
        raise SystemExit("no pair was finished")
    print(json.dumps(summarise(pairs), indent=1))


def known_pairs(path: Path | None, settings: dict[str, Any]) -> list[Pair]:
    """The pairs of an earlier run with the same files and settings. A file of other settings is not overwritten."""
    if path is None or not path.exists():
        return []
    document = json.loads(path.read_text())
    if document["settings"] != settings:
        raise SystemExit(f"{path} holds other files or settings: {document['settings']}. Give another --out.")
    return [Pair(**pair | {"documents": tuple(pair["documents"])}) for pair in document["pairs"]]


def write(path: Path | None, pairs: list[Pair], settings: dict[str, Any], warnings: list[str]) -> None:
    """Write all pairs so far, so that at most one pair is lost if the benchmark is stopped."""
    if path is None:
        return
    document = {"schema_version": 2, "summary": summarise(pairs), "settings": settings, "warnings": warnings}
    document |= {"environment": environment(), "pairs": [brief(pair) for pair in pairs]}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document) + "\n")
    part.replace(path)


def brief(pair: Pair) -> dict[str, Any]:
    """A pair without the values that are the same in all its documents."""
    kept = ("latency_us", "ratio", "stable", "instability", "environment", "attempts", "seconds")
    documents = [{name: document[name] for name in kept} for document in pair.documents]
    for document in documents:
        document["environment"] = {
            name: value for name, value in document["environment"].items() if name in VARYING
        } or document["environment"]
    return dataclasses.asdict(pair) | {"documents": documents}


if __name__ == "__main__":
    main()
