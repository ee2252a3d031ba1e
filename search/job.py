"""A job: one stage of work as JSON, and its result."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from litetuner.spaces.candidate import digest

Kind = Literal["inspect", "train", "convert", "score", "time"]
KINDS: tuple[Kind, ...] = ("inspect", "train", "convert", "score", "time")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a job may use: wall seconds and resident bytes of its process."""

    seconds: float
    memory_bytes: int


@dataclasses.dataclass(frozen=True)
class Job:
    """``inputs`` is all that determines the result (JSON; blobs by sha256); ``limits`` only bound it.

    Jobs of equal ``key`` have equal results, so a result is cached by it.
    """

    kind: Kind
    inputs: dict[str, Any]
    limits: Limits
    handler: str = ""  # which of a worker's handlers does it; the kind's own where it is empty
    hints: dict[str, Any] = dataclasses.field(
        default_factory=dict
    )  # where inputs lie on this machine; not part of the key

    @property
    def key(self) -> str:
        return digest([self.kind, self.handler, self.inputs])

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a job gave: JSON ``outputs`` (blobs by sha256), and its wall seconds; ``start_seconds`` of them went to
    starting a process with its imports."""

    outputs: dict[str, Any]
    seconds: float = 0.0
    start_seconds: float = 0.0
    cached: bool = False
