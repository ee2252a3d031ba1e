"""What inspecting the model and the data gave: everything that jobs of this run have in common."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litetuner.search.config.config import CHANGEABLE, Config, nearest_file
from litetuner.search.config.units import BYTES, parse
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.spaces.building.jobs import InspectJob
from litetuner.spaces.errors import BuildFailed, DataError, HostError, Lost, ModelError
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.record import Record
from litetuner.spaces.jobs.workspace import LossSettings
from litetuner.spaces.models.decision import OutputSettings
from litetuner.spaces.user_function import is_function

INSPECT_SECONDS = 1800.0
EPOCH_LEVELS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
LONGEST_SHARE = 1 / 24  # of the time budget: the longest training of one step
UNTIMED_EPOCHS = 2.0  # the longest training where no time budget limits it


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


def inspect(
    folder: RunFolder, config: Config, contents: Mapping[str, Any], cache: JobCache, environment: Environment
) -> tuple[Inspection, dict[str, float]]:
    """Load and check model, data (``contents``: see ``identity``) and metric, once a run; also the seconds by kind.

    Raises ``ModelError``, ``DataError`` or ``ConfigError`` before any compute is used.
    """
    known = _known(folder)
    if known is not None:
        return known, {}
    job = InspectJob(
        environment=environment,
        limits=Limits(INSPECT_SECONDS, int(parse(config.max_job_memory, BYTES, "max-job-memory"))),
        model_content=contents["model_content"],
        data_content=contents["data_content"],
        metric=config.metric,
        outputs=OutputSettings(config.task, config.threshold),
        loss=config.loss,
        class_weights=config.class_weights,
        preprocess=config.preprocess,
        custom_objects=config.custom_objects,
        seed=config.seed,
        batch_size=config.batch_size,
        calibration=config.calibration,
    )
    try:
        result = cache.run(job)
    except BuildFailed as error:
        raise ModelError(f"the model {config.model} or the data {config.data} cannot be opened: {error}.") from error
    except Lost as error:
        raise HostError(f"inspecting the model and the data was cut short: {error}. Is there enough memory?") from error
    value = result.value
    names = ("model", "data", "base", "loss", "metric", "inspected", "seconds_per_epoch", "original", "doubts")
    same = {name: getattr(value, name) for name in names}
    found = Inspection(**same, epochs=epoch_levels(config, value.seconds_per_epoch))
    folder.write("inspection", found.to_json())
    # Starting the worker that will convert, and the training that was timed, are stages; the rest is ours.
    return found, {"convert": result.start_seconds, "train": 0.0 if result.cached else value.training_seconds}


def _known(folder: RunFolder) -> Inspection | None:
    """What an earlier session found, if all that it names is still there."""
    record = folder.read("inspection")
    if record is None:
        return None
    found = Inspection.from_json(record)
    blobs = [name for name in (found.base, found.inspected) if name is not None]
    there = (folder.path / found.data.folder).is_dir() and all(folder.blobs.has(name) for name in blobs)
    return found if there else None


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
    """Model and data, files by content, and whether all is simulated. Raises ``ModelError`` or ``DataError``."""
    model, data = _content(config.model, ModelError, "model"), _content(config.data, DataError, "data")
    simulated = {"simulated": True} if EXECUTORS[config.executor].simulated else {}
    return {"model_content": model, "data_content": data} | simulated


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
        files = (item for item in path.rglob("*") if item.is_file())
        listing = sorted((str(item.relative_to(path)), item.stat().st_size) for item in files)
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    if not path.is_file():
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        folder = "" if names else f" (nor does the folder {path.parent})"
        raise error(f"{what}: {source} does not exist{nearest_file(path, names)}{folder}")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as failure:
        raise error(f"{what}: {source} cannot be read: {failure.strerror}.") from failure
