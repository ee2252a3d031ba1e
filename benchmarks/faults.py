"""Fault injection: damaged files of a run folder, and hostile models, data, targets and configurations.

python benchmarks/faults.py flips|truncations|swaps|folders|injections|tflite|configurations|targets|models|mutations|data
python benchmarks/faults.py kills|real_kills|write_kills|deaths|crowd|readers|signals|real_signals
python benchmarks/faults.py secrets_found|disks|write_sites|places
    [--count 1200] [--seed 0] [--work FOLDER] [--model FILE.tflite] [--out benchmarks/results/faults.json]

For the first three, each fault is made in a copy of a run of the executor ``fake``. Then the run is read (status,
report) and resumed by one trial. ``detected`` is a litetuner error that says what is wrong. ``harmless`` means the same
trials, Pareto front, picks and numbers as without the fault. ``internal`` is another exception, and ``silent`` are
other numbers without an error. Verdicts are stored in ``--work``; the same command resumes.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import random
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fault_verdicts import VERDICTS, Verdict, read, table, write

import litetuner
from litetuner.objectives.environment import environment
from litetuner.objectives.files.costs import file_costs
from litetuner.reports.model.result import build_result
from litetuner.reports.status import find_status
from litetuner.search.config.config import make_config
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.spaces.errors import LitetunerError
from litetuner.spaces.jobs import workspace
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.layer_bytes import read_layers
from litetuner.spaces.tflite.operators import read_operators

TRIALS = 6
SETTINGS = {
    **{"model": "fake:model", "data": "fake:data", "executor": "fake", "target": "fake"},
    **{"max_drop": "3%", "max_compressed_size": "60kB"},
}
# Files that only a report reads.
REPORTED = (
    "report.html",
    "trials.csv",
    "summary.json",
    "cache/layers",
    "cache/importance.json",
)
READERS: dict[str, Callable[[bytes], object]] = {
    **{"artifact": read_artifact, "operators": read_operators, "costs": file_costs},
    "layers": lambda file: read_layers(file, {}),
}
COUNTS = {"flips": 1200, "truncations": 200, "swaps": 100, "tflite": 10_000}
# By function name: the maximum number of faults, and the module with the function that yields the verdicts after the
# first ``done``. A module is imported only when it is needed: hostile files need seconds and 2 GB, and each forked
# process would import them again.
MORE = {
    **{"configurations": (100_000, "hostile_texts"), "targets": (100_000, "hostile_texts")},
    **{"models": (1000, "hostile_files"), "mutations": (1000, "hostile_files"), "data": (1000, "hostile_files")},
    **{"folders": (1000, "hostile_folders"), "injections": (1000, "injections"), "places": (1000, "places")},
    **{"kills": (240, "endings"), "real_kills": (22, "real_kills"), "write_kills": (10, "real_kills")},
    **{"deaths": (35, "deaths"), "disks": (20, "disks"), "real_signals": (36, "real_signals")},
    **{"secrets_found": (3, "secrets_found"), "write_sites": (1000, "write_sites")},
    **{"crowd": (20, "crowds"), "readers": (1, "crowds"), "signals": (49, "crowds")},
}
COUNTS |= {name: count for name, (count, _) in MORE.items()}


def make_run(path: Path, trials: int = TRIALS, seed: int = 0) -> None:
    run_search(make_config(SETTINGS | {"out": str(path), "trials": trials, "seed": seed}))


def report(path: Path) -> None:
    litetuner.Run(path).report()


def prepare(path: Path, seed: int = 0) -> None:
    """Make a run with every kind of file, including those that the executor ``fake`` does not write."""
    make_run(path, seed=seed)
    report(path)
    (path / "trials" / "0001" / "log.txt").write_text("a warning of a library\n" * 20)
    folder = RunFolder(path)
    trial = next(trial for trial in read_run(path).trials if trial.sha256)
    folder.write(f"cache/layers/{trial.sha256}", {"version": 1, "layers": []})
    folder.write("cache/importance", {"key": "none", "importances": []})


def kind_of(file: Path) -> str:
    """The kind of a file: ``trials/trial.json`` for ``trials/0001/trial.json``, so without numbers and hashes."""
    parts = file.parts
    if parts[:2] == ("cache", "blobs") or parts[0] == "artifacts":
        return f"{'/'.join(parts[:-1])}/*{file.suffix}"
    if parts[:2] == ("cache", "layers"):
        return "cache/layers"
    return "/".join((parts[0], parts[-1])) if len(parts) > 1 else file.name


def numbers(path: Path) -> str:
    """All results of a run as JSON: trials, states, measurements, Pareto front and picks."""
    record = read_run(path)
    trials = [
        [t.number, t.candidate.label, str(t.state), t.duplicate_of, t.constraints, t.reason]
        + [[name, m.value, m.interval] for name, m in sorted(t.measurements.items())]
        for t in record.trials
    ]
    picks = {name: trial.number for name, trial in record.picks.items()}
    return json.dumps([trials, [trial.number for trial in record.front], picks], default=str)


class Bench:
    """A run, another run, and the expected results of the first. Each fault is made in its files and then undone."""

    def __init__(self, folder: Path) -> None:
        self.run, self.other = folder / "run", folder / "other"
        for path, seed in ((self.run, 0), (self.other, 1)):
            shutil.rmtree(path, ignore_errors=True)
            prepare(path, seed)
        self.files = self._files(self.run)
        self.others = self._files(self.other)
        self.before = numbers(self.run)
        self.resume()
        self.after = numbers(self.run)
        self.restore()
        self.kinds: dict[str, list[Path]] = collections.defaultdict(list)
        for file in sorted(self.files):
            if self.files[file]:
                self.kinds[kind_of(file)].append(file)

    @staticmethod
    def _files(path: Path) -> dict[Path, bytes]:
        return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}

    def restore(self) -> None:
        now = self._files(self.run)
        for file in now.keys() - self.files.keys():
            (self.run / file).unlink()
        for file, content in self.files.items():
            if now.get(file) != content:
                (self.run / file).unlink(missing_ok=True)
                (self.run / file).parent.mkdir(parents=True, exist_ok=True)
                (self.run / file).write_bytes(content)
        workspace._inspected.cache_clear()  # as in the new process of a new session

    def resume(self) -> None:
        make_run(self.run, TRIALS + 1)

    def flip(self, rng: random.Random, index: int) -> Verdict:
        kind = list(self.kinds)[index % len(self.kinds)]
        file = rng.choice(self.kinds[kind])
        content = bytearray(self.files[file])
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        return self.judge(kind, {file: bytes(content)})

    def truncation(self, rng: random.Random, index: int) -> Verdict:
        kind = list(self.kinds)[index % len(self.kinds)]
        file = rng.choice(self.kinds[kind])
        return self.judge(kind, {file: self.files[file][: rng.randrange(len(self.files[file]))]})

    def swap(self, rng: random.Random, index: int) -> Verdict:
        """Swap two files of one kind of this run.

        For an odd ``index``, or if there is only one such file, replace it by a file of the other run.
        """
        kind = list(self.kinds)[index // 2 % len(self.kinds)]
        own = self.kinds[kind]
        first = rng.choice(own)
        if index % 2 or len(own) == 1:
            theirs = [file for file in sorted(self.others) if kind_of(file) == kind]
            return self.judge(kind, {first: self.others[rng.choice(theirs)]})
        second = rng.choice([file for file in own if file != first])
        return self.judge(kind, {first: self.files[second], second: self.files[first]})

    def judge(self, kind: str, changed: dict[Path, bytes]) -> Verdict:
        for file, content in changed.items():
            (self.run / file).write_bytes(content)
        try:
            verdict, message = self.look(kind)
        except LitetunerError as error:
            named = any(part in str(error) for part in (str(self.run), "trial "))
            verdict, message = ("detected" if named else "silent"), str(error)
        except Exception as error:
            verdict, message = "internal", f"{type(error).__name__}: {error}"
        self.restore()
        return Verdict(kind, str(next(iter(changed))), verdict, message)

    def look(self, kind: str) -> tuple[str, str]:
        """Read the damaged run, then resume it.

        Returns (verdict, message). An error of reading is reported at the end.
        """
        first: LitetunerError | None = None
        try:
            find_status(read_run(self.run))
            build_result(read_run(self.run))
            if kind in REPORTED:
                report(self.run)
            if numbers(self.run) != self.before:
                return "silent", "other numbers when it is read"
        except LitetunerError as error:
            first = error
        self.resume()
        if numbers(self.run) != self.after:
            return "silent", "other numbers after it was resumed"
        return ("harmless", "") if first is None else ("detected", str(first))


def tflite(count: int, seed: int, done: int, path: Path) -> Iterator[Verdict]:
    """Random mutations of a ``.tflite``: each must be read, or rejected with a litetuner error."""
    content = path.read_bytes()
    for index in range(done, count):
        yield mutated(content, random.Random(seed * 1_000_003 + index))


def mutated(content: bytes, rng: random.Random) -> Verdict:
    changed = bytearray(content[: rng.randrange(8, len(content))] if rng.random() < 0.1 else content)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        at = rng.randrange(min(len(changed), rng.choice((64, 1024, len(changed)))))
        changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    found = Verdict("tflite", "", "harmless")
    for name, reader in READERS.items():
        try:
            reader(bytes(changed))
        except LitetunerError as error:
            found = Verdict("tflite", name, "detected", str(error)[:200])
        except Exception as error:
            return Verdict("tflite", name, "internal", "".join(traceback.format_exception(error)[-3:]))
    return found


def faults(what: str, count: int, seed: int, work: Path, done: int) -> Iterator[Verdict]:
    bench = Bench(work)
    make = {"flips": bench.flip, "truncations": bench.truncation, "swaps": bench.swap}[what]
    for index in range(done, count):
        yield make(random.Random(seed * 1_000_003 + index), index)


def find(what: str, count: int, seed: int, done: int, options: argparse.Namespace) -> Iterator[Verdict]:
    """The verdicts after the first ``done``."""
    if what == "tflite":
        return tflite(count, seed, done, options.model)
    if what in ("flips", "truncations", "swaps"):
        return faults(what, count, seed, options.work / "runs", done)
    (options.work / what / "run").mkdir(parents=True, exist_ok=True)
    finder: Callable[[int, int, int, Path], Iterator[Verdict]]
    finder = getattr(importlib.import_module(MORE[what][1]), what)
    return finder(count, seed, done, (options.work / what).absolute())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COUNTS)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("faults"))
    parser.add_argument("--model", type=Path, help="a .tflite file, for tflite")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    count = options.count or COUNTS[options.what]
    options.work.mkdir(parents=True, exist_ok=True)
    log = options.work / f"{options.what}-{options.seed}.jsonl"
    write(log, find(options.what, count, options.seed, len(read(log)), options))
    verdicts = read(log)
    print(table(verdicts))
    if options.out:
        totals: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
        counts = collections.Counter(item.verdict for item in verdicts)
        totals["environment"] = environment()
        totals[options.what] = {"seed": options.seed, "faults": len(verdicts)} | {v: counts[v] for v in VERDICTS}
        options.out.write_text(json.dumps(totals, indent=1) + "\n")


if __name__ == "__main__":
    main()
