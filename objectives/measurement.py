"""A measurement: a number with its unit, its samples, its confidence interval and its conditions."""

import dataclasses
from typing import Annotated, Any, TypedDict

from litetuner.spaces.jobs.record import Record


class Lender(TypedDict, total=False):
    """The file that was timed instead of the trial's own file, and the trial of that file."""

    file: str
    trial: int | None


class Extra(TypedDict, total=False):
    """The keys of a measurement's ``extra`` that litetuner reads."""

    borrowed_from: Lender


@dataclasses.dataclass(frozen=True)
class Measurement(Record):
    """One measured value. ``environment`` says where and how it was measured, and must not be empty.

    ``interval`` is a 95 % confidence interval (low, high) in ``unit``, or ``None`` if there is none (exact values).
    ``samples`` are the raw numbers from which the value was computed (block minima for a latency).
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
