"""Training ahead: the same trials in the same order, the same results, nothing lost, nothing left behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest

from litetuner.search.clock import Clock
from litetuner.search.config.config import make_config
from litetuner.search.evaluation.candidate_jobs import train_job
from litetuner.search.listener import Listener
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.dispatcher import completed
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.executors.fake import Fake
from litetuner.search.runtime.executors.local import Local
from litetuner.search.runtime.jobs import JobResult
from litetuner.search.runtime.worker import GIVES_WAY
from litetuner.search.runtime.worker_process import WorkerProcess
from litetuner.search.session import open_session
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Job, Kind, Limits, R
from litetuner.spaces.jobs.record import Record
from litetuner.spaces.steps import STEPS
from tests.api.conftest import band_arrays, band_model
from tests.search.fakes import fake_search

LIMITS = Limits(seconds=20, memory_bytes=4 << 30)
NOWHERE = Environment({}, "", "")

# A worker whose trainings sleep: the process boundary is what is tested.
SLEEPING = """
import os, sys, time
from litetuner.search.runtime import worker

def do(job):
    deadline = time.monotonic() + job["seconds"]
    sys.stderr.write("trained\\n"); sys.stderr.flush()
    while time.monotonic() < deadline: time.sleep(0.01)
    if job["fail"]: raise ZeroDivisionError("by design")
    return {"pid": os.getpid()}

worker.ROLES.update(dict.fromkeys(("build", "train"), lambda workspace: {"train": do}))
worker.main(sys.argv[1:])
"""


class Eager(Fake):
    """A fake that trains ahead: some trainings end at once, some when they are joined, some are lost."""

    overlaps = True
    joined = 0
    begun = 0

    def __init__(self, *keys: object) -> None:
        super().__init__(*keys)  # type: ignore[arg-type]
        self._done: list[tuple[Job[Any], JobResult[Any]]] = []
        Eager.joined = Eager.begun = 0

    def prefetch(self, job: Job[Any]) -> None:
        Eager.begun += 1
        if Eager.begun % 3:
            self._done.append((job, Fake.submit(self, job).result()))

    def finished(self) -> list[tuple[Job[Any], JobResult[Any]]]:
        found, self._done = (self._done, []) if Eager.begun % 2 else ([], self._done)
        return found

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        found = next((result for done, result in self._done if done.key == job.key), None)
        if found is None:
            return super().submit(job, log)
        Eager.joined += 1
        return completed(lambda: found)


def completed_trials(path: Path) -> list[tuple[int, str, str, str, str | None, dict[str, float]]]:
    return [
        (trial.number, trial.origin, trial.candidate.key, str(trial.state), trial.gate, values(trial.measurements))
        for trial in RunFolder(path).trials()
    ]


def values(measurements: dict) -> dict[str, float]:  # type: ignore[type-arg]
    return {name: found.value for name, found in measurements.items()}


def test_looking_ahead_changes_no_trial_and_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_search(tmp_path / "plain", trials=24)
    monkeypatch.setitem(EXECUTORS, "fake", Eager)
    fake_search(tmp_path / "ahead", trials=24)
    assert completed_trials(tmp_path / "ahead") == completed_trials(tmp_path / "plain")
    assert Eager.begun >= 3


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    script = tmp_path / "sleeping.py"
    script.write_text(textwrap.dedent(SLEEPING))
    real = WorkerProcess.__init__.__globals__["subprocess"].Popen

    def popen(arguments: list[str], **keys: object):  # type: ignore[no-untyped-def]
        return real([sys.executable, str(script), *arguments[4:]], **keys)

    monkeypatch.setattr("litetuner.search.runtime.worker_process.subprocess.Popen", popen)
    monkeypatch.setattr("litetuner.search.runtime.executors.local.usable_cores", lambda: 2)
    folder = RunFolder(tmp_path / "run")
    folder.create()
    found = Local(folder, make_config({"model": "m", "data": "d"}))
    yield found
    found.close()


@dataclasses.dataclass(frozen=True)
class Answer(Record):
    pid: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sleeping(Job[Answer]):
    kind: ClassVar[Kind] = "train"
    verb: ClassVar[str] = "train"
    result: ClassVar[type[Record]] = Answer
    environment: Environment = NOWHERE
    limits: Limits = LIMITS
    name: str
    seconds: float
    fail: bool


def train(name: str, seconds: float = 0.0, limits: Limits = LIMITS, fail: bool = False) -> Sleeping:
    return Sleeping(name=name, seconds=seconds, limits=limits, fail=fail)


def run(executor: Local, job: Job[R], log: Path | None = None) -> JobResult[R]:
    return executor.submit(job, log).result(timeout=60)


def background(executor: Local) -> psutil.Process:
    return psutil.Process(executor._workers["train"].pid)


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_joins_what_was_begun(executor: Local, tmp_path: Path) -> None:
    job = train("a", 0.5)
    executor.prefetch(job)
    worker = background(executor)
    result = run(executor, job, tmp_path / "log.txt")
    assert result.value.pid == worker.pid
    assert result.seconds >= 0.5 > result.overlapped
    assert (tmp_path / "log.txt").read_text().count("trained") == 1
    assert run(executor, train("b")).value.pid != worker.pid
    assert executor.finished() == []


def test_what_ended_by_itself_is_stored_and_charged_to_whom_it_is_for(executor: Local) -> None:
    cache, job = JobCache(executor.folder, executor), train("a", 0.2)
    cache.prefetch(job)
    wait_for(lambda: cache.stored(job))
    assert cache.known(job) is None  # nobody has asked for it
    assert JobCache(executor.folder, executor).known(job) is not None  # a resumed search finds it
    result = cache.run(job)
    assert result.seconds == result.overlapped == cache.take_overlapped() >= 0.2
    assert cache.take_overlapped() == 0
    assert cache.known(job) is not None and cache.run(job).seconds == 0


def test_one_that_is_killed_is_run_again(executor: Local) -> None:
    executor.prefetch(train("a", 0.3))
    pid = background(executor).pid
    os.kill(pid, signal.SIGKILL)
    assert run(executor, train("a", 0.3)).value.pid != pid
    executor.prefetch(train("b"))
    assert run(executor, train("b")).value.pid not in (pid, None)


def test_a_failure_is_told_when_the_job_is_run(executor: Local) -> None:
    executor.prefetch(train("a", fail=True))
    wait_for(lambda: executor.finished() or executor._background._failed)
    executor.prefetch(train("b"))  # one more does not take it away
    with pytest.raises(BuildFailed, match="by design"):
        run(executor, train("a", fail=True))
    assert run(executor, train("b")).value.pid


def test_another_training_has_the_machine_to_itself_and_nothing_is_lost(executor: Local) -> None:
    executor.prefetch(train("a", 0.6))
    wait_for(lambda: executor._background.look() or executor._workers["train"].ready)
    started = time.monotonic()
    run(executor, train("b", 0.8))
    assert [job.name for job, _ in executor.finished()] in ([], ["a"])
    assert executor._workers["train"].slept >= 0.8
    assert run(executor, train("c")).value.pid != background(executor).pid
    assert time.monotonic() - started < 10


def test_what_is_timed_is_timed_alone_and_costs_the_training_no_time(executor: Local) -> None:
    job = train("a", 1.0, Limits(1.5, 4 << 30))
    executor.prefetch(job)
    wait_for(lambda: executor._background.look() or executor._workers["train"].ready)
    worker = background(executor)
    with executor.quiet():
        wait_for(lambda: worker.status() == psutil.STATUS_STOPPED)
        time.sleep(2)
        executor._background.look()  # beyond its limit, had it run
    result = run(executor, job)
    assert result.value.pid == worker.pid
    assert result.seconds < 3


def test_a_limit_holds_in_the_background(executor: Local) -> None:
    job = train("a", 30, Limits(0.5, 4 << 30))
    executor.prefetch(job)
    with pytest.raises(BuildFailed, match="longer than"):
        run(executor, job)


@pytest.mark.parametrize("suspended", [False, True])
def test_the_end_leaves_no_child(executor: Local, suspended: bool) -> None:
    executor.prefetch(train("a", 30))
    worker = background(executor)
    if suspended:
        worker.suspend()
    executor.abandon()
    wait_for(lambda: not worker.is_running())
    executor.prefetch(train("b", 30))
    worker = background(executor)
    executor.close()
    assert not worker.is_running()


def test_one_core_or_no_memory_trains_nothing_ahead(executor: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litetuner.search.runtime.executors.local.SPARE_BYTES", 1 << 60)
    executor.prefetch(train("a"))
    assert "train" not in executor._workers
    monkeypatch.undo()
    monkeypatch.setattr("litetuner.search.runtime.executors.local.usable_cores", lambda: 1)
    assert not executor.overlaps


def test_the_clock_counts_what_was_waited_for(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    clock = Clock(folder)
    clock._started -= 100
    clock.count({"train": 40.0, "score": 20.0}, overlapped=15.0)
    clock.save()
    seconds = Clock(folder).seconds()
    assert seconds["train"] == 25 and seconds["train_overlapped"] == 15
    assert seconds["other"] == pytest.approx(55, abs=1)


class Kept(Local):
    """The executor of the session that was opened last."""

    last: ClassVar[Local]

    def __init__(self, *keys: Any) -> None:
        super().__init__(*keys)
        Kept.last = self


def test_a_training_in_the_background_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "data.npz", **band_arrays())  # type: ignore[arg-type]
    band_model().save(tmp_path / "model.keras")  # type: ignore[attr-defined]
    config = make_config({"model": str(tmp_path / "model.keras"), "data": str(tmp_path / "data.npz")})
    folder = RunFolder((tmp_path / "run").absolute())
    folder.create()
    monkeypatch.setitem(EXECUTORS, "local", Kept)
    with open_session(config, folder, Listener()) as session:
        executor = Kept.last
        candidate = Candidate((STEPS["finetune"](epochs=0.25), STEPS["int8"]()))
        job = train_job(session.services, candidate, 0, [])
        executor._background.begin(job)  # also where there is one core
        joined = run(executor, job)
        assert joined.overlapped >= 0 and psutil.Process(executor._workers["train"].pid).nice() == GIVES_WAY
        again = run(executor, job)
        assert joined.value.checkpoint == again.value.checkpoint  # the name of a blob is its sha256
        assert executor._workers["build"].jobs == 2
