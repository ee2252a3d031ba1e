"""After ``kill -9`` of a search nothing runs on that its workers had started, whatever it did to stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from litetuner.search.runtime.keeper import Keeper

# A job that starts a fork in a session of its own, a daemon, and a program without our environment, and then hangs.
WORKER = """
import os, subprocess, sys, time
from pathlib import Path
from litetuner.search.runtime import worker

def note(pid): open(os.environ["NOTES"], "a").write(f"{pid}\\n")

def fork(then):
    if os.fork() == 0:
        os.setsid(); then(); time.sleep(60); os._exit(0)

def daemon():
    if os.fork():
        os._exit(0)
    note(os.getpid())

def do(job):
    fork(lambda: note(os.getpid()))
    fork(daemon)
    note(subprocess.Popen(["sleep", "60"], env={}, start_new_session=True).pid)
    time.sleep(1)
    note(os.getpid())
    time.sleep(60)

worker.ROLES["score"] = lambda workspace: {"score": do}
worker.main(sys.argv[1:])
"""
SEARCH = """
import subprocess, sys
from pathlib import Path
from litetuner.search.runtime.worker_process import WorkerProcess
from litetuner.spaces.jobs.job import Limits

script, folder = sys.argv[1:]
popen = subprocess.Popen
def start(command, **keys):
    worker = "litetuner.search.runtime.worker" in command
    return popen([sys.executable, script, *command[4:]] if worker else command, **keys)
subprocess.Popen = start
worker = WorkerProcess("score", Path(folder), Path(folder) / "log")
class Job:
    kind = verb = "score"
    limits = Limits(60.0, 4 << 30)
    def to_json(self): return {}
def meanwhile():
    if SUSPENDED and len(open(sys.argv[2] + "/notes").read().split()) == 4:
        worker.suspend()
worker.begin(Job())
worker.answer(meanwhile)
"""


def running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigIgn:")[2].split()[0], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("suspended", [False, True])
def test_what_a_job_started_ends_with_a_killed_search(tmp_path: Path, suspended: bool) -> None:
    script, notes = tmp_path / "worker.py", tmp_path / "notes"
    script.write_text(WORKER)
    notes.touch()
    code = SEARCH.replace("SUSPENDED", str(suspended))
    search = subprocess.Popen(
        [sys.executable, "-c", code, str(script), str(tmp_path)], env=os.environ | {"NOTES": str(notes)}
    )
    deadline = time.monotonic() + 60
    while len(pids := [int(line) for line in notes.read_text().split()]) < 4:
        assert time.monotonic() < deadline and search.poll() is None
        time.sleep(0.05)
    time.sleep(1.0)
    assert [pid for pid in pids if running(pid)] == pids
    search.kill()
    search.wait()
    deadline = time.monotonic() + 15
    while any(map(running, pids)):
        assert time.monotonic() < deadline, [psutil.Process(pid) for pid in pids if running(pid)]
        time.sleep(0.05)


def test_one_that_was_killed_is_started_again_and_told_all() -> None:
    keeper, sleeping = Keeper(), psutil.Popen(["sleep", "60"])
    keeper.tell(f"{sleeping.pid} {sleeping.create_time()}")
    first = keeper._process
    assert first is not None
    first.kill()
    first.wait()
    keeper.tell("0" * 16)
    second = keeper._process
    assert second is not None and second is not first
    deadline = time.monotonic() + 60
    while not ignores(second.pid, signal.SIGQUIT):  # it has begun
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        second.send_signal(number)
    assert sleeping.is_running() and second.poll() is None
    keeper.close()
    assert second.returncode == 0
    assert sleeping.wait(5) == -signal.SIGKILL


def test_a_process_with_the_number_of_another_is_left_alone() -> None:
    keeper, sleeping = Keeper(), psutil.Popen(["sleep", "60"])
    try:
        keeper.tell(f"{sleeping.pid} {sleeping.create_time() - 100}")
        keeper.close()
        assert sleeping.poll() is None
    finally:
        sleeping.kill()
        sleeping.wait()
