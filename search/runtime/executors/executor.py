"""The base class of executors, which run jobs."""

import contextlib
from concurrent.futures import Future
from pathlib import Path
from typing import ClassVar

from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.jobs import JobResult
from litetuner.spaces.jobs.device import Device
from litetuner.spaces.jobs.job import Job, R


class Executor:
    """Subclasses set ``name`` and define ``submit``; one file each in ``search/runtime/executors``.

    Jobs with equal keys must give equal results.
    """

    name: ClassVar[str]
    simulated: ClassVar[bool] = False  # results are not measurements, and must not share a run with measurements
    elsewhere: ClassVar[bool] = False  # each trial has its own cores, which may be on another machine

    def __init__(self, folder: RunFolder, config: Config) -> None:
        self.folder = folder
        self.device = Device()  # the device for trainings
        self.config = config  # subclasses may change its number of parallel trials

    @classmethod
    def prepare(cls, config: Config) -> None:
        """Prepare what the check of the targets needs. Raises ``HostError``."""

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        """Run a job, in parallel to others. Its output is appended to ``log``. Any thread may call this.

        The future raises ``BuildFailed`` (would fail again), ``Lost`` (the machine's fault), ``HostError`` or a
        ``UsageError``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no submit()")

    def computing(self) -> contextlib.AbstractContextManager[object]:
        """A lock to hold while the search itself computes, so that it does not disturb a timing on this machine."""
        return contextlib.nullcontext()

    def longest_queues(self) -> dict[str, int]:
        """The largest number of jobs that waited at the same time, for ``workers`` and for each target by name."""
        return {}

    def close(self) -> None:
        """End all processes."""
