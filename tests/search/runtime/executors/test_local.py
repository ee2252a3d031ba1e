"""The local executor: a child that dies, hangs or eats memory fails its job, and the next job gets a new one."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from litetuner.search.config.config import make_config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.executors.local import Local
from litetuner.search.runtime.worker_process import WorkerProcess
from litetuner.spaces.errors import BuildFailed, DataError, Lost
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Job, Kind, Limits
from litetuner.spaces.jobs.record import Record

LIMITS = Limits(seconds=20, memory_bytes=4 << 30)
NOWHERE = Environment({}, "", "")

# A worker whose jobs misbehave on request: the process boundary is what is tested, so the handlers are stand-ins.
MISBEHAVING = """
import os, signal, sys, time
from litetuner.search.runtime import worker
from litetuner.spaces.errors import DataError

def do(job):
    what = job["what"]
    if what == "signal": os.kill(os.getpid(), job["number"])
    if what == "exit": os._exit(3)
    if what == "hang": time.sleep(1000)
    if what == "memory":
        held = []
        while True:
            held.append(bytearray(50_000_000)); time.sleep(0.02)
    if what == "raise": raise ZeroDivisionError("by design")
    if what == "usage": raise DataError("x_train holds NaN")
    if what == "print": print("noise on standard output"); sys.stdout.flush(); os.write(1, b"more noise")
    return {"pid": os.getpid()}

worker.ROLES["score"] = lambda workspace: {"score": do}
worker.main(sys.argv[1:])
"""


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    script = tmp_path / "misbehaving.py"
    script.write_text(textwrap.dedent(MISBEHAVING))
    real = WorkerProcess.__init__.__globals__["subprocess"].Popen

    def popen(arguments: list[str], **keys: object):  # type: ignore[no-untyped-def]
        return real([sys.executable, str(script), *arguments[3:]], **keys)

    monkeypatch.setattr("litetuner.search.runtime.worker_process.subprocess.Popen", popen)
    found = Local(RunFolder(tmp_path / "run"), make_config({"model": "m", "data": "d"}))
    yield found
    found.close()


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


def run(executor: Local, what: str, limits: Limits = LIMITS, number: int = 0) -> int:
    job = Misbehaving(what=what, limits=limits, number=number)
    return executor.submit(job).result(timeout=60).value.pid


def works(executor: Local) -> int:
    return run(executor, "fine")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGSEGV, BuildFailed),
        (signal.SIGABRT, BuildFailed),
        (signal.SIGFPE, BuildFailed),
        (signal.SIGKILL, Lost),
        (signal.SIGTERM, Lost),
    ],
)
def test_death_by_signal_is_told_apart_and_the_search_goes_on(
    executor: Local, number: signal.Signals, kind: type[Exception]
) -> None:
    before = works(executor)
    with pytest.raises(kind, match=number.name):
        run(executor, "signal", number=int(number))
    assert works(executor) != before


def test_an_exit_a_hang_and_too_much_memory_fail_the_job(executor: Local) -> None:
    with pytest.raises(BuildFailed, match="code 3"):
        run(executor, "exit")
    started = time.monotonic()
    with pytest.raises(BuildFailed, match="longer than 1 s"):
        run(executor, "hang", Limits(1, 4 << 30))
    assert time.monotonic() - started < 15
    with pytest.raises(BuildFailed, match=r"more than the 0\.5 GB allowed"):
        run(executor, "memory", Limits(20, 500_000_000))
    assert works(executor)


def test_an_error_keeps_its_type_and_the_worker(executor: Local) -> None:
    before = works(executor)
    with pytest.raises(BuildFailed, match="ZeroDivisionError: by design"):
        run(executor, "raise")
    with pytest.raises(DataError, match="NaN"):
        run(executor, "usage")
    assert works(executor) == before


def test_noise_on_standard_output_is_no_answer(executor: Local) -> None:
    assert run(executor, "print") == works(executor)


def test_a_worker_that_grew_is_replaced(executor: Local) -> None:
    before = works(executor)
    tight = Limits(seconds=20, memory_bytes=1)
    assert executor._worker("score", tight.memory_bytes).pid != before


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
    assert executor.slots("score") == 1
