"""What inspecting the model and the data gave: everything that jobs of this run have in common."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from litetuner.objectives.metrics.metric import Metric
from litetuner.search.clock import Clock
from litetuner.search.config.config import CHANGEABLE, Config
from litetuner.search.config.nearest_file import nearest_file
from litetuner.search.config.units import BYTES, parse
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.jobs import Job, Limits
from litetuner.spaces.errors import BuildFailed, DataError, HostError, Lost, ModelError
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.user_function import is_function

INSPECT_SECONDS = 1800.0
EPOCH_LEVELS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
LONGEST_SHARE = 1 / 24  # of the time budget: the longest training of one step
UNTIMED_EPOCHS = 2.0  # the longest training where no time budget limits it


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Facts of model and data, the tf_keras model as a blob (``None``: it cannot be trained), and the lengths of training."""

    model: ModelInfo
    data: DataInfo
    base: str | None
    loss: dict[str, Any]
    seconds_per_epoch: float | None
    epochs: tuple[float, ...]
    original: str | None = None  # what the user's model gives on the search split, as a blob

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(record: dict[str, Any]) -> Inspection:
        return Inspection(
            model=ModelInfo.from_json(record["model"]),
            data=DataInfo.from_json(record["data"]),
            base=record["base"],
            loss=record["loss"],
            seconds_per_epoch=record["seconds_per_epoch"],
            epochs=tuple(record["epochs"]),
            original=record.get("original"),
        )


def inspect(folder: RunFolder, config: Config, metric: Metric, cache: JobCache, clock: Clock) -> Inspection:
    """Load and check model and data, once a run. Raises ``ModelError`` or ``DataError`` before any compute is spent."""
    known = folder.read("inspection")
    if (
        known is not None
        and Path(known["data"]["folder"]).is_dir()
        and (not known["base"] or folder.blobs.has(known["base"]))
    ):
        return Inspection.from_json(known)
    inputs = {
        "model": config.model,
        "trust": config.trust_model,
        "data": config.data,
        "preprocess": config.preprocess,
        "task": metric.task,
        "metric_loss": metric.default_loss,
        "loss": config.loss,
        "output": metric.output,
        "takes_all": metric.takes_all,
        "custom_objects": config.custom_objects,
        "seed": config.seed,
        "batch_size": config.batch_size,
        "calibration": config.calibration,
        "data_folder": str((folder.path / "cache" / "data").absolute()),
    }
    limits = Limits(INSPECT_SECONDS, int(parse(config.max_job_memory, BYTES, "max-job-memory")))
    try:
        result = cache.run(Job("inspect", inputs, limits))
    except BuildFailed as error:
        raise ModelError(f"the model {config.model} or the data {config.data} cannot be opened: {error}.") from error
    except Lost as error:
        raise HostError(f"inspecting the model and the data was cut short: {error}. Is there enough memory?") from error
    outputs = result.outputs
    # Starting the worker that will convert, and the training that was timed, are stages; the rest is ours.
    clock.count({"convert": result.start_seconds, "train": 0.0 if result.cached else outputs["training_seconds"]})
    found = Inspection.from_json(outputs | {"epochs": epoch_levels(config, outputs["seconds_per_epoch"])})
    folder.write("inspection", found.to_json())
    return found


def epoch_levels(config: Config, seconds_per_epoch: float | None) -> tuple[float, ...]:
    """Three lengths of training, the longest as long as the user or the time budget allows."""
    longest = config.max_epochs
    if longest is None:
        longest = UNTIMED_EPOCHS
        if config.seconds is not None and seconds_per_epoch:
            longest = config.seconds * LONGEST_SHARE / seconds_per_epoch
    levels = tuple(level for level in EPOCH_LEVELS if level <= longest)[-3:]
    if config.max_epochs is not None and config.max_epochs not in levels:
        levels = (*levels, config.max_epochs)[-3:]
    return levels or (EPOCH_LEVELS[0],)


def identity(config: Config) -> dict[str, Any]:
    """What the model and the data are, by content where they are files, and whether all is simulated.

    Raises ``ModelError`` or ``DataError`` when they are missing.
    """
    found: dict[str, Any] = {
        "model_content": _content(config.model, ModelError, "model"),
        "data_content": _content(config.data, DataError, "data"),
    }
    return found | {"simulated": True} if EXECUTORS[config.executor].simulated else found


def default_folder(config: Config, contents: dict[str, Any]) -> Path:
    """``runs/<model file name>-<8 hex of all that may not change>``."""
    frozen = {name: value for name, value in config.model_dump(mode="json").items() if name not in CHANGEABLE}
    # Paths may be written in several ways; what they hold counts.
    frozen |= {"model": Path(config.model).name, "data": Path(config.data).name} | contents
    hexes = hashlib.sha256(json.dumps(frozen, sort_keys=True).encode()).hexdigest()[:8]
    stem = config.model.replace(":", "-") if is_function(config.model) else Path(config.model).stem
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).strip(".-")[:60] or "model"
    return Path("runs") / f"{safe}-{hexes}"


def _content(source: str, error: type[ModelError] | type[DataError], what: str) -> str:
    if is_function(source) and not Path(source).exists():
        return source
    path = Path(source)
    if path.is_dir():
        listing = sorted(
            (str(item.relative_to(path)), item.stat().st_size) for item in path.rglob("*") if item.is_file()
        )
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    if not path.is_file():
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise error(
            f"{what}: {source} does not exist{nearest_file(path, names)}"
            + ("" if names else f" (nor does the folder {path.parent})")
        )
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as failure:
        raise error(f"{what}: {source} cannot be read: {failure.strerror}.") from failure
