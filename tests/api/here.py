"""An executor that inspects for real, in this process."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

from litetuner.objectives.scoring.scorer import describe_metric
from litetuner.search.runtime.dispatcher import completed
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.executors.local import sources_of
from litetuner.search.runtime.jobs import JobResult
from litetuner.spaces.building.jobs import InspectJob, InspectResult


class Here(Executor):
    """Inspects for real, in this process: the boundary between processes: see test_local.py."""

    name = "here"

    def submit(self, job: InspectJob, log: Path | None = None) -> Future[JobResult[InspectResult]]:  # type: ignore[override]
        from litetuner.spaces.building.inspect import inspect

        workspace = self.folder.workspace(sources_of(self.config))
        return completed(lambda: JobResult(inspect(job, describe_metric(job.metric), workspace)))
