"""The jobs of the score worker: score a file, measure its flash, compare two scores sample by sample."""

import dataclasses
from typing import Any, ClassVar

from litetuner.objectives.measurement import Measurement
from litetuner.spaces.jobs.job import NOT_IN_KEY, Job, Kind
from litetuner.spaces.jobs.record import Record


@dataclasses.dataclass(frozen=True)
class ScoreResult(Record):
    """The metric, and a blob for paired comparisons: per-sample values, or the predictions if the metric has none."""

    metric: Measurement
    each: str | None
    predictions: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreJob(Job[ScoreResult]):
    """Score a finished file on the first ``limit`` samples of a split (0: all). ``metric`` is the user's text."""

    kind: ClassVar[Kind] = "score"
    verb: ClassVar[str] = "score"
    result: ClassVar[type[Record]] = ScoreResult
    inspected: str
    artifact: str
    split: str
    limit: int
    metric: str
    seed: int
    threads: int
    io: tuple[str, str] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetScoreJob(ScoreJob):
    """Score with the outputs of a target, not of LiteRT. ``described`` is its description, ``spec`` the user's text."""

    verb: ClassVar[str] = "score_on"
    described: dict[str, Any]
    spec: str = dataclasses.field(metadata=NOT_IN_KEY)


@dataclasses.dataclass(frozen=True)
class FlashResult(Record):
    """The size of a file in flash. ``file`` is the blob of the file with look-up tables, ``None`` for the plain file.

    ``reason`` says why the plain file is used. ``tables`` are (tensor, bits) of the compressed tensors. ``samples`` is
    the number of samples on which both files gave equal outputs. ``arena_bytes`` are the arena bytes that decoding
    adds.
    """

    size: int
    file: str | None
    reason: str
    tables: tuple[tuple[int, int], ...]
    samples: int
    arena_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlashJob(Job[FlashResult]):
    """Compress clustered weights by look-up tables, and verify the file on the first samples of the search split."""

    kind: ClassVar[Kind] = "score"
    verb: ClassVar[str] = "flash"
    result: ClassVar[type[Record]] = FlashResult
    inspected: str
    seed: int
    artifact: str
    samples: int


@dataclasses.dataclass(frozen=True)
class CompareResult(Record):
    """The first one's metric, and the paired difference (first - second), ``None`` if the data for it are missing."""

    value: float
    difference: float | None
    interval: tuple[float, float] | None
    samples: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareJob(Job[CompareResult]):
    """Compare two outputs on the same samples, from blobs with per-sample values or, without them, with predictions.

    ``value`` is the metric of the first output; ``None`` if it must be computed from the predictions.
    """

    kind: ClassVar[Kind] = "score"
    verb: ClassVar[str] = "compare"
    result: ClassVar[type[Record]] = CompareResult
    inspected: str
    split: str
    metric: str
    seed: int
    value: float | None
    first_each: str | None
    first_predictions: str | None
    second_each: str | None
    second_predictions: str | None
