"""The local executor: a child that dies, hangs or eats memory fails its job, and the next job gets a new one."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import psutil
import pytest

from litetuner.search.runtime.executors.local import Local
from litetuner.search.runtime.process_tree import MARK
from litetuner.spaces.errors import BuildFailed, DataError, Lost, TimeUp
from litetuner.spaces.jobs.job import Limits
from tests.search.runtime.executors.misbehaving import LIMITS, Misbehaving, MisbehavingTraining, misbehaving, run, works

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
