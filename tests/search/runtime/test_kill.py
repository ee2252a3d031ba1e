"""kill -9 of a whole search at random moments loses nothing, and leaves no child behind."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.worker_process import WorkerProcess
from litetuner.search.trial import State
from tests.search.fakes import fake_search

KILLS = 20
TRIALS = 40
# Imported once, in a server that forks each session: what is killed is the search, not Python's start.
PRELOADED = ("tests.search.fakes", "optuna", "optuna.storages", "optuna.samplers", "scipy.stats")
PRELOADED += ("alembic.command", "sqlalchemy.dialects.sqlite", "sqlalchemy.orm")


def told(path: Path) -> list[tuple[str, str, dict[str, float]]]:
    return [
        (trial.candidate.key, str(trial.state), {name: item.value for name, item in trial.measurements.items()})
        for trial in RunFolder(path).trials()
        if trial.state is not State.LOST
    ]


def start(path: Path) -> BaseProcess:
    """A search in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED])
    process = context.Process(target=fake_search, args=(path,), kwargs={"trials": TRIALS, "database": True})
    process.start()
    return process


def wait_until_stopped(process: psutil.Process) -> None:
    deadline = time.monotonic() + 5
    while process.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline, "the process was not suspended"
        time.sleep(0.01)


def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    fake_search(tmp_path / "undisturbed", trials=TRIALS)
    expected = told(tmp_path / "undisturbed")
    moments = random.Random(20)
    kills = rounds = 0
    while kills < KILLS:
        path = tmp_path / f"killed{rounds}"
        rounds += 1
        while kills < KILLS:
            process = start(path)
            known = len(list(path.glob("trials/*/trial.json")))
            deadline = time.monotonic() + 60
            # From the first new record on, so that every session is killed at work, then at a random moment.
            while process.is_alive() and len(list(path.glob("trials/*/trial.json"))) <= known:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.25))
            if not process.is_alive():
                break  # this run was finished; the kills go on with another one
            process.kill()
            process.join()
            kills += process.exitcode == -signal.SIGKILL
        last = start(path)
        last.join(120)
        assert last.exitcode == 0
        assert told(path) == expected
        assert all(trial.reason for trial in RunFolder(path).trials() if trial.state is State.LOST)
    assert kills == KILLS


@pytest.mark.parametrize("suspended", [False, True])
def test_workers_die_with_their_parent_also_when_suspended(tmp_path: Path, suspended: bool) -> None:
    code = (
        "import sys, time; from pathlib import Path; from litetuner.search.runtime.worker_process import WorkerProcess;"
        f"worker = WorkerProcess('score', Path({str(tmp_path)!r}), Path({str(tmp_path)!r}) / 'log');"
        f"{'worker.suspend();' if suspended else ''}"
        "print(worker.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    if suspended:
        wait_until_stopped(child)
    assert child.is_running()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_resumed_worker_works_again(tmp_path: Path) -> None:
    worker = WorkerProcess("score", tmp_path, tmp_path / "log")
    worker.suspend()
    wait_until_stopped(psutil.Process(worker.pid))
    worker.resume()
    assert worker.alive
    os.kill(worker.pid, signal.SIGKILL)
    worker.kill()
    assert not worker.alive
