"""A disk that becomes full at each file that a search with the executor ``fake`` writes, and has space again later."""

import errno
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import endings
from crowds import command, context, search
from crowds import run as run_process
from fault_verdicts import Verdict
from real_runs import half

TRIALS = 5


class Full:
    """A replacement of ``os.replace`` in the store, which renames each written file.

    After ``at`` calls the disk is full.
    """

    def __init__(self, at: float) -> None:
        self.at, self.calls, self.replace = at, 0, os.replace

    def __call__(self, source: Any, target: Any) -> None:
        self.calls += 1
        if self.calls > self.at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        self.replace(source, target)


def filled(path: Path, at: float, note: Path) -> None:
    """Run a search whose disk is full after ``at`` files.

    A ``.count`` file beside ``note`` gets the number of calls.
    """
    from litetuner.spaces import store

    signal.signal(signal.SIGINT, signal.default_int_handler)
    store.os.replace = full = Full(at)  # type: ignore[attr-defined]
    leave = os._exit

    def counted(code: int) -> None:
        note.with_suffix(".count").write_text(str(full.calls))
        leave(code)

    os._exit = counted  # type: ignore[assignment]
    command(*search(path, TRIALS), note=str(note))


def write_sites(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """A verdict for each file that a search writes.

    If the disk is full there, the search must exit with code 3 and name the path. No completed trial may be lost, and
    the search must resume afterwards.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    note = work / "note"
    run_process(context().Process(target=filled, args=(work / "counted", float("inf"), note)))
    expected = endings.told(work / "counted")
    sites = int(note.with_suffix(".count").read_text())
    for number in range(done, min(count, sites)):
        path = work / f"site-{number}"
        code = run_process(context().Process(target=filled, args=(path, number, note)))
        said = note.read_text()
        faults = [] if code == 3 else [f"exit code {code}"]
        named = str(path) in said and "No space left on device" in said and "repeat the command" in said
        faults += [] if named and "Traceback" not in said else [said[-300:]]
        faults += [f"half: {file}" for file in [*half(path), *endings.temporaries(path)]] if path.exists() else []
        kept = endings.told(path) if (path / "trials").exists() else []
        faults += [] if kept == expected[: len(kept)] else ["what was told has changed"]
        again = run_process(context().Process(target=command, args=search(path, TRIALS)))
        faults += [] if again == 0 and endings.told(path) == expected else [f"does not go on: {again}"]
        what = f"{number} of {sites}: {said.partition(str(path))[2].partition(':')[0]}"
        yield Verdict("full disk", what, "silent" if faults else "detected", "; ".join(faults)[:500])
        shutil.rmtree(path, ignore_errors=True)
