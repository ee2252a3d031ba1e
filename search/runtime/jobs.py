"""A job: one stage of work as JSON, and its result."""

from __future__ import annotations

import dataclasses
from pathlib import Path
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

    def keep_log(self, text: bytes) -> None:
        """Append what the job logged to its trial's log, where it belongs to a trial."""
        if text and "log" in self.hints:
            path = Path(self.hints["log"])
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as stream:
                stream.write(text)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a job gave: JSON ``outputs`` (blobs by sha256), and its wall seconds; ``start_seconds`` of them went to
    starting a process with its imports, ``overlapped`` of them passed beside other jobs. ``log`` is what a job that ran
    ahead wrote; its trial gets it."""

    outputs: dict[str, Any]
    seconds: float = 0.0
    start_seconds: float = 0.0
    cached: bool = False
    overlapped: float = 0.0
    log: bytes = b""
