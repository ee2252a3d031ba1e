"""What is known of a metric without running it: the user's own function runs in workers only."""

import dataclasses
from typing import Literal

from litetuner.spaces.jobs.record import Record


@dataclasses.dataclass(frozen=True)
class MetricInfo(Record):
    """The attributes of a metric (``objectives/metrics/metric.py``), as the inspection stores them."""

    name: str
    direction: Literal["maximize", "minimize"]
    bounded: bool  # within [0, 1], so that a drop is in points
    tasks: tuple[str, ...]  # of which the labels may be (decision.py)
    default_loss: str
    takes_all: bool = False
    output: str | None = None
    own_loss: bool = False  # is the loss that of a metric of the user's?
