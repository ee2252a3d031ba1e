"""A measurement: a number that knows its unit, its samples, its interval and its conditions."""

import dataclasses
from typing import Annotated, Any, TypedDict

from litetuner.spaces.jobs.record import Record


class Lender(TypedDict, total=False):
    """Whose file was timed, where it was not that of the trial."""

    file: str
    trial: int | None


class Extra(TypedDict, total=False):
    """What is read of a measurement's ``extra``."""

    borrowed_from: Lender


@dataclasses.dataclass(frozen=True)
class Measurement(Record):
    """One measured value. ``environment`` says where and how it was measured and may not be empty.

    ``interval`` is a 95 % confidence interval (low, high) in ``unit``, or ``None`` where the value is exact.
    ``samples`` are the raw numbers that the value was computed from (block minima for a latency).
    """

    value: float
    unit: str
    environment: dict[str, Any]
    interval: tuple[float, float] | None = None
    samples: tuple[float, ...] = ()
    extra: Annotated[dict[str, Any], Extra] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.environment:
            raise ValueError("a measurement needs its environment: where and how was it measured?")
