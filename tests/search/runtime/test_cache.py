"""The cache: equal jobs in flight are one job, and what a job names is part of its key."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from litetuner.search.config.config import make_config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import JobResult, TimeJob
from litetuner.spaces.building.jobs import TrainJob, TrainResult
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits
from litetuner.spaces.steps import STEPS

ENVIRONMENT = Environment({"python": "3.11"}, "host x86_64", "a processor")
JOB = TrainJob(
    environment=ENVIRONMENT,
    limits=Limits(1.0, 1),
    inspected="0" * 64 + ".json",
    seed=0,
    batch_size=1,
    calibration=1,
    prefix=Candidate((STEPS["finetune"](),)),
    parents=(),
)


class Slow(Executor):
    """Keeps its promises until a test fulfills them."""

    name = "slow"

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(folder, make_config({"model": "m", "data": "d"}))
        self.promised: list[Future[JobResult[Any]]] = []

    def submit(self, job: Any, log: Path | None = None) -> Future[JobResult[Any]]:
        self.promised.append(Future())
        return self.promised[-1]


@pytest.fixture
def executor(tmp_path: Path) -> Slow:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    return Slow(folder)


def test_two_equal_jobs_in_flight_are_one(executor: Slow) -> None:
    cache = JobCache(executor.folder, executor)
    first, second = cache.submit(JOB), cache.submit(dataclasses.replace(JOB, limits=Limits(2.0, 2)))
    other = cache.submit(dataclasses.replace(JOB, seed=1))
    assert len(executor.promised) == 2 and not first.done()
    result = TrainResult(executor.folder.blobs.put(b"trained", ".npz"), 1.0, ("a note",))
    executor.promised[0].set_result(JobResult(result, seconds=3.0))
    assert first.result() == JobResult(result, seconds=3.0)
    assert second.result() == JobResult(result, cached=True), "its seconds are counted once"
    assert not other.done()
    assert cache.run(JOB) == JobResult(result, cached=True) and len(executor.promised) == 2


def test_a_failure_reaches_all_who_wait_and_is_no_answer(executor: Slow) -> None:
    cache = JobCache(executor.folder, executor)
    waiting = [cache.submit(JOB) for _ in range(2)]
    executor.promised[0].set_exception(BuildFailed("by design"))
    for future in waiting:
        with pytest.raises(BuildFailed, match="by design"):
            future.result()
    assert not cache.submit(JOB).done() and len(executor.promised) == 2


def test_what_determines_a_result_is_in_its_key_and_nothing_else() -> None:
    assert dataclasses.replace(JOB, limits=Limits(9.0, 9)).key == JOB.key
    others = [
        dataclasses.replace(JOB, environment=dataclasses.replace(ENVIRONMENT, versions={"python": "3.12"})),
        dataclasses.replace(JOB, environment=dataclasses.replace(ENVIRONMENT, machine="other")),
        dataclasses.replace(JOB, parents=("1" * 64 + ".npz",)),
        dataclasses.replace(JOB, seed=1),
    ]
    assert len({JOB.key, *(job.key for job in others)}) == 5
    assert TrainJob.from_json(json.loads(json.dumps(JOB.to_json()))) == JOB
    time = TimeJob(
        environment=ENVIRONMENT,
        limits=Limits(1.0, 1),
        structure="s",
        baseline="b",
        target="pi",
        described={"name": "ssh"},
        threads=1,
        occasion="search",
        file="f",
        spec="pi=ssh://me@pi",
    )
    assert dataclasses.replace(time, file="g", spec="pi=ssh://me@other").key == time.key, "one structure, one latency"
