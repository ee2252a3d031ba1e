"""Simulated jobs: formulas compute the results, so hundreds of trials take seconds. For tests and sampler studies."""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.scoring.jobs import (
    CompareJob,
    CompareResult,
    FlashJob,
    FlashResult,
    ScoreJob,
    ScoreResult,
)
from litetuner.objectives.scoring.scorer import describe_metric
from litetuner.objectives.statistics import paired_difference
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.fake import Fake as FakeTarget
from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.dispatcher import completed
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import JobResult, TimeJob, TimeResult
from litetuner.spaces.building.fake_builder import FakeBuilder, quality, stand_in
from litetuner.spaces.building.jobs import FinishJob, FinishResult, InspectJob, InspectResult
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.jobs.job import Job, R


class Fake(Executor):
    """An executor that simulates jobs with the fake builder and the fake target."""

    name = "fake"
    simulated = True

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(folder, config)
        self._workspace = folder.workspace()
        self._builder = builder = FakeBuilder(self._workspace)
        self._verbs: dict[str, Callable[[Any], Any]] = {
            "inspect": self._inspect,
            "train": builder.train,
            "convert": builder.convert,
            "finish": self._finish,
            "measure_layers": builder.measure_layers,
            "score": self._score,
            "score_on": self._score,
            "compare": self._compare,
            "flash": self._flash,
            "time": self._time,
        }

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        return completed(lambda: JobResult(self._verbs[job.verb](job)))

    def _inspect(self, job: InspectJob) -> InspectResult:
        return self._builder.inspect(job, describe_metric(job.metric))

    def _score(self, job: ScoreJob) -> ScoreResult:
        candidate = self._candidate(job.artifact)
        count = job.limit or self._workspace.inspected(job.inspected).data.counts[job.split]
        right = np.zeros(count, dtype=np.float64)
        right[: round(quality(candidate) * count)] = 1.0
        value = float(right.mean())
        environment = {"simulated": True, "split": job.split, "samples": count}
        blob = self._workspace.keep_array(right)
        return ScoreResult(Measurement(value, job.metric, environment, (value - 0.01, value + 0.01)), blob, blob)

    def _compare(self, job: CompareJob) -> CompareResult:
        first, second = (self._workspace.array(str(blob)) for blob in (job.first_each, job.second_each))
        value = float(first.mean()) if job.value is None else job.value
        return CompareResult(value, *paired_difference(first, second, job.seed), len(first))

    def _flash(self, job: FlashJob) -> FlashResult:
        return FlashResult(0, None, "simulated", (), 0, 0)

    def _time(self, job: TimeJob) -> TimeResult:
        asked = find_target(job.spec).target
        target = asked if isinstance(asked, FakeTarget) else FakeTarget()  # a simulation uses no real device
        with tempfile.TemporaryDirectory() as place:
            for name, artifact in (("file", job.file), ("baseline", job.baseline)):
                (Path(place) / name).write_bytes(stand_in(self._candidate(artifact)))
            timing = target.time(Path(place) / "file", Path(place) / "baseline", job.threads)
        return TimeResult.of(timing, job.file)

    def _finish(self, job: FinishJob) -> FinishResult:
        found = self._builder.finish(job)
        arena = 0.3 * found.artifact.file_bytes
        values = {"arena_bytes": arena, "memory_bytes": arena + found.artifact.file_bytes}
        costs = {name: Measurement(round(value), "B", {"simulated": True}).to_json() for name, value in values.items()}
        return dataclasses.replace(found, costs=costs)

    def _candidate(self, artifact: str) -> Candidate:
        return Candidate.from_json(json.loads(self._workspace.artifacts.path(artifact).read_text()))
