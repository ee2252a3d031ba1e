"""A measurement: a number that knows its unit, its samples, its interval and its conditions."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One measured value. ``environment`` says where and how it was measured and may not be empty.

    ``interval`` is a 95 % confidence interval (low, high) in ``unit``, or ``None`` where the value is exact.
    ``samples`` are the raw numbers that the value was computed from (block minima for a latency).
    """

    value: float
    unit: str
    environment: dict[str, Any]
    interval: tuple[float, float] | None = None
    samples: tuple[float, ...] = ()
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.environment:
            raise ValueError("a measurement needs its environment: where and how was it measured?")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(record: dict[str, Any]) -> Measurement:
        values = dict(record)
        if values.get("interval") is not None:
            values["interval"] = tuple(values["interval"])
        values["samples"] = tuple(values.get("samples", ()))
        return Measurement(**values)
