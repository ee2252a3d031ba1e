"""Workers of the local executor are suspended while this machine is timed, and time in which they are stopped does not count."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from litetuner.search.runtime import awake
from litetuner.search.runtime.awake import AwakeClock
from litetuner.search.runtime.executors.local import Local
from litetuner.search.runtime.jobs import TimeJob
from litetuner.spaces.errors import Lost
from tests.search.runtime.executors.misbehaving import LIMITS, NOWHERE, Misbehaving, misbehaving, works


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
