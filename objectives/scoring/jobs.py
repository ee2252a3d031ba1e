"""The jobs of the score worker: score a file, compare two scores sample by sample."""

import dataclasses
from typing import Any, ClassVar

from litetuner.objectives.measurement import Measurement
from litetuner.spaces.jobs.job import NOT_IN_KEY, Job, Kind
from litetuner.spaces.jobs.record import Record


@dataclasses.dataclass(frozen=True)
class ScoreResult(Record):
    """The metric, and what paired comparisons need as blobs: per-sample values, or predictions where there are none."""

    metric: Measurement
    each: str | None
    predictions: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreJob(Job[ScoreResult]):
    """Score a finished file on a split, its first ``limit`` samples or (0) all. ``metric`` is what the user wrote."""

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
    """The same with the outputs of a target instead of LiteRT's. ``described`` are its words, ``spec`` the user's."""

    verb: ClassVar[str] = "score_on"
    described: dict[str, Any]
    spec: str = dataclasses.field(metadata=NOT_IN_KEY)


@dataclasses.dataclass(frozen=True)
class FlashResult(Record):
    """The bytes that a file takes in flash. ``file`` is the blob of the one with look-up tables, ``None`` for the plain one.

    ``reason`` says why it is the plain one. ``tables`` are (tensor, bits) of what is compressed, ``samples`` how many gave the
    same outputs in both, ``arena_bytes`` what decoding adds to the arena.
    """

    size: int
    file: str | None
    reason: str
    tables: tuple[tuple[int, int], ...]
    samples: int
    arena_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlashJob(Job[FlashResult]):
    """Compress the clustered weights of a file by look-up tables, proved on the first samples of the search split."""

    kind: ClassVar[Kind] = "score"
    verb: ClassVar[str] = "flash"
    result: ClassVar[type[Record]] = FlashResult
    inspected: str
    seed: int
    artifact: str
    samples: int


@dataclasses.dataclass(frozen=True)
class CompareResult(Record):
    """The paired difference (first - second), ``None`` where there is nothing to pair, and the first one's own metric."""

    value: float
    difference: float | None
    interval: tuple[float, float] | None
    samples: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareJob(Job[CompareResult]):
    """Compare two outputs on the same samples: blobs of per-sample values or, else, of predictions.

    ``value`` is the first one's metric; ``None`` where it is to be computed from its predictions.
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
