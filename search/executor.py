"""An executor: where jobs run."""

from __future__ import annotations

from typing import ClassVar

from litetuner.search.config import Config
from litetuner.search.job import Job, Result
from litetuner.search.run_folder import RunFolder


class Executor:
    """Subclasses set ``name``; one file each in ``search/executors``. Jobs of equal key give equal results."""

    name: ClassVar[str]
    simulated: ClassVar[bool] = False  # its results are no measurements, and never share a run with such

    def __init__(self, folder: RunFolder, config: Config) -> None:
        self.folder = folder
        self.config = config

    def run(self, job: Job) -> Result:
        """Do a job. Raises ``BuildFailed`` (fails again), ``Lost`` (the machine's fault) or a ``UsageError``."""
        raise NotImplementedError(f"{type(self).__name__} defines no run()")

    def close(self) -> None:
        """End all processes."""
