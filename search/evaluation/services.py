"""The services that every evaluation of a candidate needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from litetuner.search.clock import Clock
from litetuner.search.config.config import Config
from litetuner.search.criteria import Criteria
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.records import Inspection
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.target_availability import TargetAvailability
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.rules import SpaceConstraints


@dataclasses.dataclass(frozen=True)
class Services:
    """The services of a session; ``open_session`` creates them once.

    ``log`` is the file for the output of jobs that belong to a trial. With ``clock``, the time budget limits jobs.
    """

    folder: RunFolder
    config: Config
    inspection: Inspection
    constraints: SpaceConstraints
    criteria: Criteria
    availability: TargetAvailability
    cache: JobCache
    environment: Environment
    device: str = "cpu"  # where models are trained: cpu or gpu
    log: Path | None = None
    clock: Clock | None = None

    @property
    def metric(self) -> MetricInfo:
        return self.inspection.metric

    def for_trial(self, number: int) -> Services:
        return dataclasses.replace(self, log=self.folder.trial_folder(number) / "log.txt")
