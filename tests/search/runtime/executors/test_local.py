"""The local executor: a child that dies, hangs or eats memory fails its job, and the next job gets a new one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from litetuner.search.config.config import make_config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime import awake
from litetuner.search.runtime.awake import AwakeClock
from litetuner.search.runtime.executors.local import Local
from litetuner.search.runtime.jobs import TimeJob
from litetuner.search.runtime.process_tree import MARK
from litetuner.spaces.errors import BuildFailed, DataError, Lost, TimeUp
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Job, Kind, Limits
from litetuner.spaces.jobs.record import Record

LIMITS = Limits(seconds=20, memory_bytes=4 << 30)
NOWHERE = Environment({}, "", "")
POPEN = subprocess.Popen

# A worker whose jobs misbehave on request: the process boundary is what is tested, so the handlers are stand-ins.
MISBEHAVING = """
import ctypes, os, signal, sys, time
from litetuner.search.runtime import worker
from litetuner.spaces.errors import DataError

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(60); os._exit(0)

def bomb():
    signal.alarm(30)  # if nobody ends it
    for _ in range(6):
        if os.fork() == 0:
            os.setsid(); signal.alarm(30)
    time.sleep(60)

def do(job):
    what = job["what"]
    if what == "signal": os.kill(os.getpid(), job["number"])
    if what == "segfault": ctypes.string_at(0)
    if what == "abort": os.abort()
    if what == "exit": os._exit(3)
    if what == "sys.exit": sys.exit(3)
    if what == "hang": time.sleep(1000)
    if what == "loop":
        while True: pass
    if what == "memory":
        held = []
        while True:
            held.append(bytearray(50_000_000)); time.sleep(0.02)
    if what == "raise": raise ZeroDivisionError("by design")
    if what == "usage": raise DataError("x_train holds NaN")
    if what == "print": print("noise on standard output"); sys.stdout.flush(); os.write(1, b"more noise")
    if what == "fork and exit":
        if os.fork(): os._exit(3)
        time.sleep(60); os._exit(0)
    if what == "daemon and abort": daemon(); time.sleep(0.5); os.abort()
    if what == "fork bomb": bomb()
    if what == "close all": os.closerange(3, 100); time.sleep(1000)
    if what == "fork and answer": os.fork()
    if what == "a second": time.sleep(1)
    if what == "hold": held = b"1" * job["number"]; time.sleep(1.5)
    if what == "read all": return {"pid": len(sys.stdin.read())}
    return {"pid": os.getpid()}

for role in ("score", "build"):
    worker.ROLES[role] = lambda workspace: dict.fromkeys(("score", "train"), do)
worker.main(sys.argv[1:])
"""


@contextlib.contextmanager
def misbehaving(folder: Path, **keys: object) -> Iterator[Local]:
    script = folder / "misbehaving.py"
    script.write_text(textwrap.dedent(MISBEHAVING))

    class Popen(POPEN):  # type: ignore[type-arg]
        def __init__(self, arguments: list[str], **keys: object) -> None:
            worker = "litetuner.search.runtime.worker" in arguments
            super().__init__([sys.executable, str(script), *arguments[4:]] if worker else arguments, **keys)  # type: ignore[call-overload]

    config = make_config({"model": "m", "data": "d", **keys})  # imports all targets, of which some name Popen
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litetuner.search.runtime.worker_process.subprocess.Popen", Popen)
        patch.setattr("litetuner.search.runtime.worker_process.PROCESSES", 32)
        found = Local(RunFolder(folder / "run"), config)
        yield found
        found.close()


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Local]:
    with misbehaving(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with misbehaving(tmp_path_factory.mktemp("lasting")) as found:
        yield found


@dataclasses.dataclass(frozen=True)
class Answer(Record):
    pid: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Misbehaving(Job[Answer]):
    kind: ClassVar[Kind] = "score"
    verb: ClassVar[str] = "score"
    result: ClassVar[type[Record]] = Answer
    environment: Environment = NOWHERE
    limits: Limits = LIMITS
    what: str
    number: int = 0


class MisbehavingTraining(Misbehaving):
    kind: ClassVar[Kind] = "train"
    verb: ClassVar[str] = "train"


def run(executor: Local, what: str, limits: Limits = LIMITS, number: int = 0) -> int:
    job = Misbehaving(what=what, limits=limits, number=number)
    return executor.submit(job).result(timeout=60).value.pid


def works(executor: Local) -> int:
    return run(executor, "fine")


SHORT = Limits(1.0, 4 << 30)
DEATHS = {
    "segfault": (BuildFailed, "SIGSEGV", LIMITS),
    "abort": (BuildFailed, "SIGABRT", LIMITS),
    "exit": (BuildFailed, "code 3", LIMITS),
    "hang": (BuildFailed, "longer than 1 s", SHORT),
    "loop": (TimeUp, "time budget was used up", Limits(20.0, 4 << 30, budget_seconds=1.0)),
    "memory": (BuildFailed, r"more than the 0\.5 GB allowed", Limits(20.0, 500_000_000)),
    "fork and exit": (BuildFailed, "code 3", LIMITS),
    "daemon and abort": (BuildFailed, "SIGABRT", LIMITS),
    "fork bomb": (BuildFailed, "processes, more than the 32 allowed", LIMITS),
    "close all": (BuildFailed, "closed its channel", LIMITS),
}


@pytest.mark.parametrize("what", DEATHS)
def test_every_death_has_its_reason_and_leaves_nothing(lasting: Local, what: str) -> None:
    error, reason, limits = DEATHS[what]
    job_type = MisbehavingTraining if list(DEATHS).index(what) % 2 else Misbehaving
    before = lasting.submit(job_type(what="fine")).result(timeout=60).value.pid
    mark = psutil.Process(before).environ()[MARK]
    started = time.monotonic()
    with pytest.raises(error, match=reason):
        lasting.submit(job_type(what=what, limits=limits)).result(timeout=60)
    assert time.monotonic() - started < 5 + min(limits.seconds, limits.budget_seconds or 1.0, 1.0)
    while [process for process in psutil.process_iter() if mark in environ(process).values()]:
        assert time.monotonic() - started < 15  # what was killed takes a moment to disappear
    assert lasting.submit(job_type(what="fine")).result(timeout=60).value.pid != before


def environ(process: psutil.Process) -> dict[str, str]:
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ()
    return {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_from_outside_is_no_fault_of_the_job(lasting: Local, number: signal.Signals) -> None:
    before = works(lasting)
    with pytest.raises(Lost, match=number.name):
        run(lasting, "signal", number=int(number))
    assert works(lasting) != before


def test_a_fork_that_comes_back_gives_no_second_answer(lasting: Local) -> None:
    assert run(lasting, "fork and answer") == works(lasting) == works(lasting)


def test_what_a_job_starts_cannot_read_the_next_jobs(lasting: Local) -> None:
    assert run(lasting, "read all") == 0


def test_an_error_keeps_its_type_and_the_worker(lasting: Local) -> None:
    before = works(lasting)
    with pytest.raises(BuildFailed, match="ZeroDivisionError: by design"):
        run(lasting, "raise")
    with pytest.raises(BuildFailed, match="SystemExit: 3"):
        run(lasting, "sys.exit")
    with pytest.raises(DataError, match="NaN"):
        run(lasting, "usage")
    assert works(lasting) == before


def test_noise_on_standard_output_is_no_answer(lasting: Local) -> None:
    assert run(lasting, "print") == works(lasting)


def test_a_worker_that_grew_is_replaced(executor: Local) -> None:
    before = works(executor)
    tight = Limits(seconds=20, memory_bytes=1)
    assert run(executor, "fine", tight) != before


def test_two_slots_do_two_jobs_at_once_and_both_are_suspended(tmp_path: Path) -> None:
    with misbehaving(tmp_path, parallel=2) as executor:
        for job in [executor.submit(Misbehaving(what="a second", number=index)) for index in range(2)]:
            job.result(timeout=60)  # both slots have a worker now
        began = time.monotonic()
        jobs = [executor.submit(Misbehaving(what="a second", number=index)) for index in range(2)]
        time.sleep(0.3)
        children = [psutil.Process(worker.pid) for worker in executor._workers._all]
        assert len(children) == 2
        with executor.quiet():
            wait_for(lambda: all(child.status() == psutil.STATUS_STOPPED for child in children))
            time.sleep(2)
            other = executor.submit(Misbehaving(what="fine"))
            assert not any(job.done() for job in (*jobs, other))
        results = [job.result(timeout=60) for job in (*jobs, other)]
        took = time.monotonic() - began
        assert {result.value.pid for result in results} <= {child.pid for child in children}
        assert len({result.value.pid for result in results[:2]}) == 2
        assert all(result.seconds < took - 1.9 for result in results), "seconds of suspension are nobody's"


def test_jobs_one_after_the_other_need_one_worker(tmp_path: Path) -> None:
    with misbehaving(tmp_path, parallel=3) as executor:
        assert len({works(executor) for _ in range(5)}) == 1


def test_what_is_too_much_together_is_done_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litetuner.search.runtime.workers.memory_bytes", lambda: 700_000_000)
    with misbehaving(tmp_path, parallel=2) as executor:
        started = time.monotonic()
        jobs = [executor.submit(Misbehaving(what="hold", number=350_000_000)) for _ in range(2)]
        first, second = (job.result(timeout=60) for job in jobs)
        assert time.monotonic() - started > 3, "they were not at work together"
        assert first.value.pid != second.value.pid
        assert len(list(executor.folder.path.glob("cache/logs/score-*.log"))) == 3, "the younger one gave way"


def test_a_device_has_one_queue_by_whatever_name(executor: Local) -> None:
    queues = {
        text: executor._queue(timing(text)) for text in ("pi=ssh://me@pi", "b=ssh://me@pi?threads=2", "c=ssh://me@c")
    }
    assert queues["pi=ssh://me@pi"] is queues["b=ssh://me@pi?threads=2"] is not queues["c=ssh://me@c"]


def timing(text: str) -> TimeJob:
    file = "0" * 64 + ".tflite"
    return TimeJob(
        environment=NOWHERE,
        limits=LIMITS,
        structure="s",
        baseline=file,
        target=text.partition("=")[0],
        described={},
        threads=1,
        occasion="search",
        file=file,
        spec=text,
    )


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_close_ends_suspended_workers_too(executor: Local) -> None:
    child = psutil.Process(works(executor))
    os.kill(child.pid, signal.SIGSTOP)
    executor.close()
    assert not child.is_running()


def test_workers_are_suspended_while_something_is_timed(executor: Local) -> None:
    child = psutil.Process(works(executor))
    seen: list[str] = []
    with executor.quiet():
        deadline = time.monotonic() + 5
        while child.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(child.status())
    assert seen == [psutil.STATUS_STOPPED]
    assert works(executor) == child.pid


def test_the_end_ends_a_job_that_runs_and_starts_no_other(executor: Local) -> None:
    child = psutil.Process(works(executor))
    hanging, waiting = (executor.submit(Misbehaving(what=what)) for what in ("hang", "fine"))
    time.sleep(0.3)
    executor.close()
    with pytest.raises(Lost):
        hanging.result(timeout=10)
    assert waiting.cancelled() and not child.is_running()
    assert executor.submit(Misbehaving(what="fine")).cancelled()


def test_time_in_which_the_tree_was_stopped_is_in_no_limit_and_no_trial(
    lasting: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(lasting)
    asleep = 0.0
    clock = AwakeClock(lambda: time.monotonic() + asleep)
    monkeypatch.setattr(awake, "_clock", lambda: clock)
    job = lasting.submit(Misbehaving(what="a second", limits=LIMITS))
    time.sleep(0.1)
    asleep = 3600.0  # longer than the limit
    assert job.result(timeout=60).seconds < LIMITS.seconds
