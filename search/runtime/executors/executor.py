"""An executor: where jobs run."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.jobs import JobResult
from litetuner.spaces.jobs.job import Job, Kind, R


class Executor:
    """Subclasses set ``name``; one file each in ``search/runtime/executors``. Jobs of equal key give equal results."""

    name: ClassVar[str]
    simulated: ClassVar[bool] = False  # its results are no measurements, and never share a run with such

    def __init__(self, folder: RunFolder, config: Config) -> None:
        self.folder = folder
        self.config = config

    def submit(self, job: Job[R], log: Path | None = None) -> Future[JobResult[R]]:
        """Have a job done; ``log`` is the file that gets what it writes.

        The future raises ``BuildFailed`` (fails again), ``Lost`` (the machine's fault), ``HostError`` or a ``UsageError``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no submit()")

    def slots(self, kind: Kind) -> int:
        """How many jobs of a kind it does at the same time."""
        return 1

    @property
    def overlaps(self) -> bool:
        """Can it train beside other jobs, here and now?"""
        return False

    def prefetch(self, job: Job[Any]) -> None:
        """Begin a ``train`` job in the background, in place of one that runs there; ``submit`` of an equal job joins it.

        What becomes of it is told by that future alone: nothing is raised here.
        """

    def finished(self) -> list[tuple[Job[Any], JobResult[Any]]]:
        """Background jobs that have ended well since this was last asked, and that nobody joined."""
        return []

    def abandon(self) -> None:
        """End what runs in the background."""

    def close(self) -> None:
        """End all processes."""
