"""The jobs that need the model: inspect, describe, train, convert, measure_layers, finish."""

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

PROGRESS = "cache/reading.txt"  # in the run folder: a text that says how much of the data an inspection has read so far


@dataclasses.dataclass(frozen=True)
class InspectResult(Record):
    """The result of an inspection. ``inspected`` is the name of the blob that later jobs use.

    ``original`` is the blob with the outputs of the user's model on the search split. ``doubts`` are reasons not to
    trust the model as a baseline, one sentence each.
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
    """Load and check model, data and metric.

    ``model_content`` and ``data_content`` are sha256 sums, and ``sources`` has those of the files of the user's
    functions.
    """

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
    """Load and check a model without data."""

    kind: ClassVar[Kind] = "inspect"
    verb: ClassVar[str] = "describe"
    result: ClassVar[type[Record]] = DescribeResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildJob(Job[R]):
    """The fields that all build jobs of a run have; ``inspected`` is the name of a blob."""

    inspected: str
    seed: int
    batch_size: int
    calibration: int


@dataclasses.dataclass(frozen=True)
class TrainResult(Record):
    """``checkpoint`` is the name of the blob with the trained model."""

    checkpoint: str
    fit_seconds: float
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainJob(BuildJob[TrainResult]):
    """Run the last step of a prefix. ``parents`` are the checkpoints of the earlier steps; ``device`` is cpu or gpu."""

    kind: ClassVar[Kind] = "train"
    verb: ClassVar[str] = "train"
    result: ClassVar[type[Record]] = TrainResult
    prefix: Candidate
    parents: tuple[str, ...]
    device: str = "cpu"


@dataclasses.dataclass(frozen=True)
class ConvertResult(Record):
    """The name of the blob with the raw file, and notes about its conversion."""

    file: str
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertJob(BuildJob[ConvertResult]):
    """Convert a checkpoint to a raw file, or, if ``untrained``, a model with the prefix's steps but no training."""

    kind: ClassVar[Kind] = "convert"
    verb: ClassVar[str] = "convert"
    result: ClassVar[type[Record]] = ConvertResult
    candidate: Candidate
    checkpoints: tuple[str, ...]
    untrained: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureLayersJob(BuildJob[Statistics]):
    """Measure the output error and the bytes of each layer of a float file (a blob), for a grid of treatments."""

    kind: ClassVar[Kind] = "convert"
    verb: ClassVar[str] = "measure_layers"
    result: ClassVar[type[Record]] = Statistics
    file: str


@dataclasses.dataclass(frozen=True)
class FileRef:
    """A finished file: its name among the artifacts, and its structure. Files of equal structure have equal latency."""

    name: str
    structure: str


@dataclasses.dataclass(frozen=True)
class FinishResult(Record):
    """The finished file: its name among the artifacts, the properties that were read from it, and verified invariants.

    ``costs`` are the measurements that need only the bytes of the file, by name, as JSON. ``partitions`` is a digest of
    the operators that the runtime's delegate runs.
    """

    name: str
    artifact: Artifact
    invariants: tuple[Finding, ...]
    notes: tuple[str, ...]
    costs: dict[str, Any] = dataclasses.field(default_factory=dict)
    partitions: str = ""

    @property
    def ref(self) -> FileRef:
        """The name, and a structure that includes ``partitions``: both determine which kernels run."""
        structure = self.artifact.structure
        return FileRef(self.name, f"{structure}-{self.partitions}" if self.partitions else structure)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishJob(BuildJob[FinishResult]):
    """Rewrite a raw file and verify it. ``cut`` is the checkpoint of the last reshaping step, which sets the shapes."""

    kind: ClassVar[Kind] = "convert"
    verb: ClassVar[str] = "finish"
    result: ClassVar[type[Record]] = FinishResult
    candidate: Candidate
    file: str
    untrained: bool
    cut: str | None
