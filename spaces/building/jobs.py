"""The jobs that need the model: inspect, describe, train, convert, finish."""

import dataclasses
from typing import Any, ClassVar

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.jobs.job import Job, Kind, R
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.record import Record
from litetuner.spaces.jobs.workspace import LoopSettings, LossSettings
from litetuner.spaces.models.decision import OutputSettings
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.tflite.artifact import Artifact
from litetuner.spaces.tflite.invariants import Finding

PROGRESS = "cache/reading.txt"  # below the run folder: what an inspection has read of the data so far, in words


@dataclasses.dataclass(frozen=True)
class InspectResult(Record):
    """``inspected`` is the blob that later jobs name, ``original`` what the user's model gives on the search split.

    ``doubts`` are reasons not to trust the model as a baseline, a sentence each.
    """

    model: ModelInfo
    data: DataInfo
    base: str | None
    loss: LossSettings | None
    metric: MetricInfo
    inspected: str
    original: str | None
    seconds_per_epoch: float | None
    training_seconds: float
    doubts: tuple[str, ...] = ()
    loop: LoopSettings | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectJob(Job[InspectResult]):
    """Load and check model, data and metric. Contents are sha256 sums; ``sources`` those of the files of the user's functions."""

    kind: ClassVar[Kind] = "inspect"
    verb: ClassVar[str] = "inspect"
    result: ClassVar[type[Record]] = InspectResult
    model_content: str
    data_content: str
    metric: str
    outputs: OutputSettings
    loss: str | None
    class_weights: str | None
    preprocess: str | None
    custom_objects: str | None
    seed: int
    batch_size: int
    calibration: int
    sources: dict[str, str] = dataclasses.field(default_factory=dict)
    resize: tuple[str, ...] = ("bilinear",)
    label: str | None = None
    fit: str | None = None
    loss_weights: str | None = None


@dataclasses.dataclass(frozen=True)
class DescribeResult(Record):
    model: ModelInfo


@dataclasses.dataclass(frozen=True, kw_only=True)
class DescribeJob(Job[DescribeResult]):
    """Load and check a model that there are no data for."""

    kind: ClassVar[Kind] = "inspect"
    verb: ClassVar[str] = "describe"
    result: ClassVar[type[Record]] = DescribeResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildJob(Job[R]):
    """What all jobs of a run have in common; ``inspected`` is a blob."""

    inspected: str
    seed: int
    batch_size: int
    calibration: int


@dataclasses.dataclass(frozen=True)
class TrainResult(Record):
    """The trained model as a blob."""

    checkpoint: str
    fit_seconds: float
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainJob(BuildJob[TrainResult]):
    """Do the last step of a prefix on its parents' checkpoints (one for each step before). ``device`` is a class: cpu, gpu."""

    kind: ClassVar[Kind] = "train"
    verb: ClassVar[str] = "train"
    result: ClassVar[type[Record]] = TrainResult
    prefix: Candidate
    parents: tuple[str, ...]
    device: str = "cpu"


@dataclasses.dataclass(frozen=True)
class ConvertResult(Record):
    """The raw file as a blob, and notes of its conversion."""

    file: str
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertJob(BuildJob[ConvertResult]):
    """Convert a checkpoint (or, ``untrained``, a one-shot copy of a prefix) to a raw file."""

    kind: ClassVar[Kind] = "convert"
    verb: ClassVar[str] = "convert"
    result: ClassVar[type[Record]] = ConvertResult
    candidate: Candidate
    checkpoints: tuple[str, ...]
    untrained: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureLayersJob(BuildJob[Statistics]):
    """Measure what each layer of a float file (a blob) costs at the output, for each of a grid of treatments."""

    kind: ClassVar[Kind] = "convert"
    verb: ClassVar[str] = "measure_layers"
    result: ClassVar[type[Record]] = Statistics
    file: str


@dataclasses.dataclass(frozen=True)
class FileRef:
    """A finished file: its name among the artifacts, and the structure that its latency belongs to."""

    name: str
    structure: str


@dataclasses.dataclass(frozen=True)
class FinishResult(Record):
    """The finished file: its name among the artifacts, what was read back from it, and what its bytes alone tell.

    ``costs`` are measurements by name, as JSON, ``partitions`` a digest of what the runtime's delegate takes.
    """

    name: str
    artifact: Artifact
    invariants: tuple[Finding, ...]
    notes: tuple[str, ...]
    costs: dict[str, Any] = dataclasses.field(default_factory=dict)
    partitions: str = ""

    @property
    def ref(self) -> FileRef:
        """Which kernel runs follows from the file's structure and from what the delegate takes of it."""
        structure = self.artifact.structure
        return FileRef(self.name, f"{structure}-{self.partitions}" if self.partitions else structure)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishJob(BuildJob[FinishResult]):
    """Rewrite a raw file and verify it. ``cut`` is the checkpoint whose shapes the file must have."""

    kind: ClassVar[Kind] = "convert"
    verb: ClassVar[str] = "finish"
    result: ClassVar[type[Record]] = FinishResult
    candidate: Candidate
    file: str
    untrained: bool
    cut: str | None
