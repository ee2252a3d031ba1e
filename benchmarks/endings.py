"""``kill -9`` of a search at random moments: completed trials stay, no file is torn, the resumed result is the same."""

import contextlib
import json
import multiprocessing
import random
import re
import shutil
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from fault_verdicts import Verdict
from real_runs import half

from litetuner.search.config.config import make_config
from litetuner.search.run import run_search
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.search.trial import State
from litetuner.spaces.errors import LitetunerError

SETTINGS = {
    **{"model": "fake:model", "data": "fake:data", "executor": "fake", "target": "fake", "trials": 40},
    **{"max_drop": "3%", "max_compressed_size": "60kB"},
}
# These modules are imported once in a server that forks each session, so that a kill hits the search and not the
# imports.
PRELOADED = (
    "litetuner.search.run",
    "optuna.storages",
    "optuna.samplers",
    "scipy.stats",
    "alembic.command",
    "sqlalchemy.orm",
)
LIMIT = 120.0  # seconds that one session may take
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
SCATTER = 0.4  # a kill comes at most this many seconds after the first new record


def search(path: Path) -> None:
    run_search(make_config(SETTINGS | {"out": str(path)}))


def start(path: Path) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED])
    process = context.Process(target=search, args=(path,))
    process.start()
    return process


def told(path: Path) -> list[str]:
    return [
        json.dumps([t.candidate.key, str(t.state), {name: item.value for name, item in t.measurements.items()}])
        for t in RunFolder(path).trials()
        if t.state is not State.LOST
    ]


def kills(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """A verdict for each kill, and a verdict ``resumed`` for each run, which is killed several times, then finished."""
    path = work / "undisturbed"
    shutil.rmtree(path, ignore_errors=True)
    search(path)
    expected, picks = told(path), {name: trial.number for name, trial in read_run(path).picks.items()}
    number, rng = done, random.Random(seed * 1_000_003 + done)
    while number < count:
        path = work / f"killed-{number}"
        shutil.rmtree(path, ignore_errors=True)
        while number < count and kill(path, rng):
            wrong = broken(path, expected)
            yield Verdict("kill", str(number), "silent" if wrong else "harmless", wrong)
            number += 1
        last = start(path)
        last.join(LIMIT)
        wrong = resumed(path, last, expected, picks)
        left = f"{len(temporaries(path))} hidden files"
        yield Verdict("resumed", str(number), "silent" if wrong else "harmless", wrong or left)
        number += 1
        shutil.rmtree(path)


def temporaries(path: Path) -> list[Path]:
    """Temporary files of atomic writes that a kill interrupted before the file was renamed."""
    return [file for file in path.rglob(".*.*") if TEMPORARY.fullmatch(file.name)]


def kill(path: Path, rng: random.Random) -> bool:
    """Start a session and kill it at a random moment after its first new record. False if it ended before."""
    known, process = len(list(path.glob("trials/*/trial.json"))), start(path)
    deadline = time.monotonic() + LIMIT
    while process.is_alive() and len(list(path.glob("trials/*/trial.json"))) <= known and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, SCATTER))
    process.kill()
    process.join()
    return process.exitcode == -9


def broken(path: Path, expected: list[str]) -> str:
    """What is wrong after a kill, empty if nothing is.

    The records must be the first ones of an undisturbed search. Each trial that the event log lists as told must have
    its record, and no file may be incomplete.
    """
    try:
        now, lost = told(path), acknowledged(path) - {trial.number for trial in RunFolder(path).trials()}
    except LitetunerError as error:
        return f"torn: {error} "
    wrong = [f"half: {file}" for file in half(path)] + [f"trial {number} is lost" for number in sorted(lost)]
    wrong += [] if now == expected[: len(now)] else [f"{len(now)} trials differ"]
    return "; ".join(wrong)


def acknowledged(path: Path) -> set[int]:
    """The trials that the event log lists as told. A kill may tear the last line of the log."""
    found, log = set(), path / "events.jsonl"
    for line in log.read_text().splitlines() if log.exists() else ():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if event["event"] == "told":
                found.add(event["trial"])
    return found


def resumed(path: Path, last: BaseProcess, expected: list[str], picks: dict[str, int]) -> str:
    if last.exitcode != 0:
        return f"does not resume: exit code {last.exitcode} "
    lost = len([trial for trial in RunFolder(path).trials() if trial.state is State.LOST])
    same = told(path) == expected and read_run(path).best is not None and set(read_run(path).picks) == set(picks)
    return "" if same else f"another result after resuming, {lost} lost "
