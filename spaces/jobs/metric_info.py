"""The attributes of a metric, available without running it: the user's own function runs only in workers."""

import dataclasses
from typing import Literal

from litetuner.spaces.jobs.record import Record


@dataclasses.dataclass(frozen=True)
class MetricInfo(Record):
    """The attributes of a metric (``objectives/metrics/metric.py``), as the inspection stores them."""

    name: str
    direction: Literal["maximize", "minimize"]
    bounded: bool  # the metric is within [0, 1], so a drop is in points
    tasks: tuple[str, ...]  # the tasks that the metric supports (decision.py)
    default_loss: str
    takes_all: bool = False
    output: str | None = None
    own_loss: bool = False  # true if ``default_loss`` comes from the user's own metric
