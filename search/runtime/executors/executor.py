"""An executor: where jobs run."""

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
    """Subclasses set ``name``; one file each in ``search/runtime/executors``. Jobs of equal key give equal results."""

    name: ClassVar[str]
    simulated: ClassVar[bool] = False  # its results are no measurements, and never share a run with such
    elsewhere: ClassVar[bool] = False  # has cores for each trial, and need not be on this machine

    def __init__(self, folder: RunFolder, config: Config) -> None:
        self.folder = folder
        self.device = Device()  # of trainings
        self.config = config  # with the number of parallel trials, where it depends on the executor

    @classmethod
    def prepare(cls, config: Config) -> None:
        """Do what must be done before the targets are checked. Raises ``HostError``."""

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        """Have a job done, beside others; ``log`` is the file that gets what it writes. Any thread may ask.

        The future raises ``BuildFailed`` (fails again), ``Lost`` (the machine's fault), ``HostError`` or a ``UsageError``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no submit()")

    def computing(self) -> contextlib.AbstractContextManager[object]:
        """Held while the search itself computes: what is timed on this machine waits, and the search for it."""
        return contextlib.nullcontext()

    def longest_queues(self) -> dict[str, int]:
        """How many jobs waited at the same time, at most, for workers and for each target by its name."""
        return {}

    def close(self) -> None:
        """End all processes."""
