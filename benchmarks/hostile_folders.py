"""Hostile run folders: values of any kind in any record, with correct checksums.

Each folder is read (status, report, export, compare), and every fourth one is also resumed by one trial.
"""

import contextlib
import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault_verdicts import Verdict, judged

import litetuner
from litetuner.search.config.config import make_config
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder

SETTINGS: dict[str, Any] = {
    "model": "fake:model",
    "data": "fake:data",
    "executor": "fake",
    "target": "fake",
    "max_drop": "3%",
    "trials": 8,
}
RECORDS = ("identity", "inspection", "sensitivity", "studies", "targets", "finals", "clock", "environment")
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**18, 10**400, -(10**400), 1e308, float("nan"), float("inf"), "", " ", "x" * 100_000),
    *(
        "\x1b[2J",
        "</script><script>x</script>",
        "../../../etc/passwd",
        "=1+1",
        "\ud800",
        "0",
        "nan",
        "NaN",
        "float32",
        "COMPLETE",
    ),
    *([], {}, [[]], [None], {"a": 1}, [1, "a", None], {"value": "x"}, [{}], {"": {}}, ["x"] * 10_000),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a record."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def changed(record: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    record = copy.deepcopy(record)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        *path, last = rng.choice(list(places(record)) or [("a",)])
        inside: Any = record
        with contextlib.suppress(KeyError, IndexError, TypeError):
            for key in path:
                inside = inside[key]
            if rng.random() < 0.2:
                del inside[last]
            else:
                inside[last] = copy.deepcopy(rng.choice(VALUES))
    return record


def deep(rng: random.Random) -> dict[str, Any]:
    found: Any = {}
    for _ in range(rng.choice((500, 900))):
        found = {"a": found} if rng.random() < 0.5 else [found]
    return {"a": found}


def look(path: Path, sound: Path) -> None:
    """Use everything that reads a run without running its jobs."""
    run = litetuner.Run(path)
    run.status()
    json.dumps(run.summary(), allow_nan=False)
    run.report()
    run.export(path.parent / "export", trial=0, force=True)
    run.compare(sound)


def resume(path: Path) -> None:
    run_search(make_config(SETTINGS | {"out": str(path), "trials": SETTINGS["trials"] + 1}))


class Folders:
    """A valid run, and a copy of it in which one record is changed."""

    def __init__(self, work: Path) -> None:
        self.sound, self.strange = work / "sound", work / "strange"
        shutil.rmtree(work, ignore_errors=True)
        run_search(make_config(SETTINGS | {"out": str(self.sound)}))
        found = RunFolder(self.sound)
        self.names = [name for name in RECORDS if found.read(name) is not None]
        self.names += [f"trials/{file.parent.name}/trial" for file in sorted(self.sound.glob("trials/*/trial.json"))]

    def judge(self, name: str, rng: random.Random, index: int) -> Verdict:
        shutil.rmtree(self.strange, ignore_errors=True)
        shutil.copytree(self.sound, self.strange)
        folder = RunFolder(self.strange)
        record = folder.read(name) or {}
        record.pop("checksum", None)
        folder.write(name, record | deep(rng) if rng.random() < 0.02 else changed(record, rng), durable=False)
        kind, what = name.partition("/")[0], f"{index} {name}"
        seen = judged(kind, what, lambda: look(self.strange, self.sound))
        if index % 4 or seen.verdict == "internal":
            return seen
        return judged(f"{kind} resumed", what, lambda: resume(self.strange))


def folders(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    made = Folders(work)
    for index in range(done, count):
        rng = random.Random(seed * 1_000_003 + index)
        yield made.judge(rng.choice(made.names), rng, index)
