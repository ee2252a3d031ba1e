"""An executor that inspects for real, in this process."""

from __future__ import annotations

from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import Job, Result


class Here(Executor):
    """Inspects for real, in this process: the boundary between processes: see test_local.py."""

    name = "here"

    def run(self, job: Job) -> Result:
        from litetuner.spaces.building.builder import Builder

        return Result(Builder(self.folder.blobs, self.folder.artifacts).inspect(job.inputs))
