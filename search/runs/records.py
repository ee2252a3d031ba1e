"""The types of a run's records, with the keys that are read. Each record is checked against its type before use."""

import dataclasses
import math
from pathlib import Path
from typing import Any, TypeVar

from litetuner.objectives.measurement import Measurement
from litetuner.spaces.errors import CandidateError, RunError
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.record import Record, RecordError
from litetuner.spaces.jobs.workspace import LoopSettings, LossSettings

R = TypeVar("R", bound=Record)
PATHS = ("model", "data")  # keys of an identity that are not compared: the content of these files is


@dataclasses.dataclass(frozen=True)
class Anything(Record):
    """Any record that is only shown, copied and compared. Its depth and the size of its numbers are limited."""

    record: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Inspection(Record):
    """What the inspection of model and data has found. It contains no path of this machine.

    ``base`` is the blob of the tf_keras model, ``None`` if it cannot be trained. ``inspected`` is the blob that jobs
    name. ``original`` is the blob of the outputs of the user's model on the search split.
    """

    model: ModelInfo
    data: DataInfo
    base: str | None
    loss: LossSettings | None
    metric: MetricInfo
    inspected: str
    seconds_per_epoch: float | None
    epochs: tuple[float, ...]
    original: str | None = None
    doubts: tuple[str, ...] = ()  # reasons why the model may be a bad baseline
    loop: LoopSettings | None = None


@dataclasses.dataclass(frozen=True)
class Identity(Record):
    """The run's id and the hashes of its inputs. The record also has configuration keys, which are only compared."""

    run: str
    sources: dict[str, str] = dataclasses.field(default_factory=dict)
    model_content: str | None = None
    data_content: str | None = None


@dataclasses.dataclass(frozen=True)
class Seconds(Record):
    """Seconds of a run by kind, and the longest queues by name (``Clock``)."""

    seconds: dict[str, float]
    queues: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.seconds.items():
            if not (math.isfinite(value) and value >= 0):
                raise RecordError(f"is {value}, and must be 0 or more", "seconds", name)


@dataclasses.dataclass(frozen=True)
class Places(Record):
    """The description of each target of a run, by its name."""

    places: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Names(Record):
    """The names of all studies of a run: one for each set of objectives and budgets."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Ablated(Record):
    """The pick ``best`` without one of its steps, and what was measured then."""

    without: str
    label: str
    metric: float | None = None
    drop: float | None = None
    file_bytes: float | None = None
    compressed_bytes: float | None = None
    latency_us: float | None = None
    trial: int | None = None


@dataclasses.dataclass(frozen=True)
class Ablation(Record):
    """The contribution of each step of a trial."""

    steps: tuple[Ablated, ...]
    trial: int | None = None


@dataclasses.dataclass(frozen=True)
class Finals(Record):
    """Final measurements by trial, the targets that did not answer (``waiting``) by trial, and the ablation."""

    trials: dict[str, dict[str, Measurement]] = dataclasses.field(default_factory=dict)
    waiting: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    ablation: Ablation | None = None


@dataclasses.dataclass(frozen=True)
class LayerChange(Record):
    """How much the outputs change if only one layer is compressed (``rank_layers``)."""

    precision: str | None
    change: float | None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Sensitivity(Record):
    """The layer sensitivity: the change of the outputs, by layer name."""

    layers: dict[str, LayerChange]


@dataclasses.dataclass(frozen=True)
class Machine(Record):
    """The machine of the last session. Other keys of the record are shown unchanged."""

    cpu: str | None = None
    packages: dict[str, str | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Importance(Record):
    """The importance of each choice for a ``goal``, which is ``front`` or an objective's measurement.

    ``shares`` sum to 1, the largest first. A share says how much a choice decides whether a trial is among the best
    ``top`` of ``trials`` trials for that goal.
    """

    goal: str
    shares: dict[str, float]
    trials: int
    top: int


@dataclasses.dataclass(frozen=True)
class KeptImportances(Record):
    """Cached importances. ``key`` is a hash of the trials and objectives that they were computed from."""

    key: str
    importances: tuple[Importance, ...]


@dataclasses.dataclass(frozen=True)
class KeptResult(Record):
    """The cached result of a job. The type of the result itself is checked where it is read."""

    result: dict[str, Any]


KINDS: dict[str, type[Record]] = {
    **{"identity": Identity, "inspection": Inspection, "clock": Seconds, "targets": Places, "studies": Names},
    **{"finals": Finals, "sensitivity": Sensitivity, "environment": Machine},
    **{"importance": KeptImportances, "result": KeptResult},
}


def kind_of(name: str) -> type[Record] | None:
    """The type of a record by its name in the run: ``finals``, ``cache/importance``, ``cache/<key>/result``."""
    parts = name.split("/")
    return KINDS.get(parts[0] if len(parts) == 1 else parts[1] if parts[1] in KINDS else parts[-1])


def checked(path: Path, kind: type[R], record: dict[str, Any], remedy: str) -> R:
    """The record as an instance of ``kind``. Raises ``RunError`` that names the first value of a wrong type."""
    try:
        return kind.from_json(record)
    except (ValueError, CandidateError) as error:
        raise RunError(f"{path} was not written by litetuner: {error}. {remedy}") from error


def identity_differences(known: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between the identities of a run and of a search, in words.

    Paths are not compared, but the content of their files is.
    """
    found = []
    for key in sorted(known | now):
        if key in (*PATHS, "sources", "format_version", "run") or known.get(key) == now.get(key):
            continue
        what = key.removesuffix("_content")
        sides = [
            f"{side.get(what)}" + (f" (sha256 {side[key][:12]})" if _hashed(side, key) else "") for side in (known, now)
        ]
        found.append(f"{what}: {sides[0]} there, {sides[1]} now")
    before, after = (side.get("sources", {}) for side in (known, now))
    for file in sorted(before | after):
        old, new = (side.get(file, "none")[:12] for side in (before, after))
        if old != new:
            found.append(f"{file}: sha256 {old} there, {new} now")
    return found


def _hashed(side: dict[str, Any], key: str) -> bool:
    return key.endswith("_content") and side.get(key) not in (None, side.get(key.removesuffix("_content")))
