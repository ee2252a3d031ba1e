"""What the records of a run hold, as far as it is read: each is checked against its type before anything uses it."""

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
PATHS = ("model", "data")  # of an identity: may be written in several ways; what they hold counts


@dataclasses.dataclass(frozen=True)
class Anything(Record):
    """What no field is read of, but is shown, copied and compared: bounded in depth and in the length of numbers."""

    record: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Inspection(Record):
    """``base`` is the tf_keras model as a blob (``None``: it cannot be trained), ``inspected`` the blob that jobs name,
    ``original`` what the user's model gives on the search split. No path of this machine is part of it."""

    model: ModelInfo
    data: DataInfo
    base: str | None
    loss: LossSettings | None
    metric: MetricInfo
    inspected: str
    seconds_per_epoch: float | None
    epochs: tuple[float, ...]
    original: str | None = None
    doubts: tuple[str, ...] = ()  # why the model may be no good baseline
    loop: LoopSettings | None = None


@dataclasses.dataclass(frozen=True)
class Identity(Record):
    """The run's id, and what its inputs hold. The keys of the configuration stand beside it, and are compared only."""

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
    """What each target's name means in a run."""

    places: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Names(Record):
    """The studies that a run has had."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Ablated(Record):
    """The best without one of its steps."""

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
    """What the steps of a trial contribute."""

    steps: tuple[Ablated, ...]
    trial: int | None = None


@dataclasses.dataclass(frozen=True)
class Finals(Record):
    """Final measurements by trial, which targets did not answer for which trial, and the ablation."""

    trials: dict[str, dict[str, Measurement]] = dataclasses.field(default_factory=dict)
    waiting: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    ablation: Ablation | None = None


@dataclasses.dataclass(frozen=True)
class LayerChange(Record):
    """How much a layer's compression alone changes the outputs (``rank_layers``)."""

    precision: str | None
    change: float | None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Sensitivity(Record):
    """One change by layer."""

    layers: dict[str, LayerChange]


@dataclasses.dataclass(frozen=True)
class Machine(Record):
    """The machine of the last session; what else stands in the record is shown as it is."""

    cpu: str | None = None
    packages: dict[str, str | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Importance(Record):
    """``shares`` of the choices sum to 1, the largest first. ``goal`` is ``front`` or an objective's measurement.

    A share says how much a choice decides whether a trial is among the best ``top`` of ``trials`` for that goal.
    """

    goal: str
    shares: dict[str, float]
    trials: int
    top: int


@dataclasses.dataclass(frozen=True)
class KeptImportances(Record):
    """Importances of the trials with this key."""

    key: str
    importances: tuple[Importance, ...]


@dataclasses.dataclass(frozen=True)
class KeptResult(Record):
    """What a job gave; its own type is checked where it is read."""

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
    """The record as its type. Raises ``RunError`` that names the value which is of another type."""
    try:
        return kind.from_json(record)
    except (ValueError, CandidateError) as error:
        raise RunError(f"{path} was not written by litetuner: {error}. {remedy}") from error


def identity_differences(known: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between the identity of a run and that of a search, in words; paths do not count, what they hold does."""
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
