"""The timing job, and the result that an executor returns for any job."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, Self

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.target import Timing
from litetuner.spaces.jobs.job import NOT_IN_KEY, Job, Kind, R
from litetuner.spaces.jobs.record import Record
from litetuner.spaces.store import append

BLOB = re.compile(r"[0-9a-f]{64}\.\w+")


@dataclasses.dataclass(frozen=True)
class TimeResult(Record):
    """The result of timing ``file`` (an artifact) on a target. ``Timing`` explains the fields."""

    latency_us: Measurement | None
    baseline_us: Measurement | None
    ratio: float | None
    file: str
    others: dict[str, Measurement] = dataclasses.field(default_factory=dict)
    misfit: str = ""

    @classmethod
    def of(cls, timing: Timing, file: str) -> Self:
        others = dict(timing.others)
        return cls(timing.latency_us, timing.baseline_us, timing.ratio, file, others, timing.misfit)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimeJob(Job[TimeResult]):
    """Times ``file`` on a target. The result is valid for all files with the same ``structure``.

    ``described`` is the target's own description (``Target.describe``), ``spec`` the user's text for the target.
    """

    kind: ClassVar[Kind] = "time"
    verb: ClassVar[str] = "time"
    result: ClassVar[type[Record]] = TimeResult
    structure: str
    baseline: str
    target: str
    described: dict[str, Any]
    threads: int
    occasion: str
    file: str = dataclasses.field(metadata=NOT_IN_KEY)
    spec: str = dataclasses.field(metadata=NOT_IN_KEY)


@dataclasses.dataclass(frozen=True)
class JobResult(Generic[R]):
    """The result of a job, and the seconds that it took. Time in which the job was suspended does not count.

    ``start_seconds`` is the part of ``seconds`` for starting a process with its imports. ``node`` is the machine that
    did the job, if jobs run on several machines.
    """

    value: R
    seconds: float = 0.0
    start_seconds: float = 0.0
    cached: bool = False
    node: str = ""


def append_log(log: Path | None, text: bytes) -> None:
    """Append what a job logged to the log of its trial. Does nothing if the job belongs to no trial."""
    if text and log is not None:
        append(log, text)


def blob_names(value: Any) -> Iterator[str]:
    """The names of blobs and artifacts in a job or a result (as JSON)."""
    if isinstance(value, str) and BLOB.fullmatch(value):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from blob_names(item)
