"""The inspection of the model and the data, whose result all jobs of a run share."""

from collections.abc import Callable, Mapping
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from litetuner.search.config.config import Config
from litetuner.search.evaluation.identity import user_functions
from litetuner.search.evaluation.limits import job_limits
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.records import Inspection
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.jobs import JobResult
from litetuner.spaces.building.jobs import PROGRESS, InspectJob, InspectResult
from litetuner.spaces.errors import BuildFailed, HostError, Lost, ModelError, RunError
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.python_functions import shown_name
from litetuner.spaces.models.decision import OutputSettings

PROGRESS_SECONDS = 0.5
EPOCH_LEVELS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
LONGEST_SHARE = 1 / 24  # the longest training of one step, as a share of the time budget
UNTIMED_EPOCHS = 2.0  # the longest training if no time budget limits it


def inspect(
    folder: RunFolder,
    config: Config,
    contents: Mapping[str, Any],
    cache: JobCache,
    environment: Environment,
    doing: Callable[[str], None],
) -> tuple[Inspection, dict[str, float]]:
    """Load and check model, data and metric, once per run; returns the inspection, and the seconds by kind of job.

    ``contents``: see ``identity``. ``doing`` gets the progress. Raises ``ModelError``, ``DataError`` or ``ConfigError``
    before any compute is used."""
    known = _known(folder)
    if known is not None:
        return known, {}
    job = InspectJob(
        environment=environment,
        limits=job_limits(config, "inspect"),
        model_content=contents["model_content"],
        data_content=contents["data_content"],
        sources=contents.get("sources", {}),
        resize=config.resize,
        label=config.label,
        metric=config.metric,
        outputs=OutputSettings(config.task, config.threshold),
        loss=config.loss,
        class_weights=config.class_weights,
        fit=config.fit,
        loss_weights=config.loss_weights,
        preprocess=config.preprocess,
        custom_objects=config.custom_objects,
        seed=config.seed,
        batch_size=config.batch_size,
        calibration=config.calibration,
    )
    try:
        result = _run(job, cache, folder.path / PROGRESS, doing)
    except BuildFailed as error:
        raise ModelError(f"inspecting {_inputs(config)} failed: {error}.") from error
    except Lost as error:
        raise HostError(f"inspecting model and data was interrupted: {error}. Is there enough memory?") from error
    value = result.value
    names = ("model", "data", "base", "loss", "metric", "inspected", "seconds_per_epoch", "original", "doubts", "loop")
    same = {name: getattr(value, name) for name in names}
    _check_same(folder, config, value.model.sha256, value.data.sha256)
    found = Inspection(**same, epochs=epoch_levels(config, value.seconds_per_epoch))
    folder.write("inspection", found.to_json())
    # The start of the worker counts as convert, the timed training as train, and the rest as other.
    return found, {"convert": result.start_seconds, "train": 0.0 if result.cached else value.training_seconds}


def _inputs(config: Config) -> str:
    """The inputs of an inspection in words: model, data and the user's functions. Any of them may have failed."""
    functions = {key: name for key, name in user_functions(config).items() if key not in ("model", "data")}
    named = "".join(f", --{key.replace('_', '-')} {shown_name(name)}" for key, name in functions.items())
    return f"the model {shown_name(config.model)}, the data {shown_name(config.data)}{named}"


def _run(job: InspectJob, cache: JobCache, progress: Path, doing: Callable[[str], None]) -> JobResult[InspectResult]:
    progress.unlink(missing_ok=True)  # left by a search that was killed
    promised, said = cache.submit(job), ""
    try:
        while not wait([promised], PROGRESS_SECONDS).done:
            text = progress.read_text(encoding="utf-8") if progress.exists() else said
            if text != said:
                doing(text)
            said = text
    finally:
        progress.unlink(missing_ok=True)
    return promised.result()


def _known(folder: RunFolder) -> Inspection | None:
    """The inspection of an earlier session, if all blobs that it names still exist."""
    record = folder.read("inspection")
    if record is None:
        return None
    found = Inspection.from_json(record)
    blobs = (found.base, found.inspected, found.original, *found.data.arrays.values())
    return found if all(folder.blobs.has(name) for name in blobs if name is not None) else None


def _check_same(folder: RunFolder, config: Config, model: str, data: str) -> None:
    """Raise ``RunError`` if a run with trials reads another model or other data than before, also from a function."""
    record = folder.read("inspection")
    if record is None or not folder.trials():
        return
    before = Inspection.from_json(record)
    for what, given, was, now in (
        ("model", config.model, before.model.sha256, model),
        ("data", config.data, before.data.sha256, data),
    ):
        if was != now:
            raise RunError(
                f"{folder.path}: the {what} {given} changed since this run began: sha256 {was[:12]} then, {now[:12]} now. "
                "Numbers of both would be mixed in one Pareto front. Restore the old one, or choose another folder with --out."
            )


def epoch_levels(config: Config, seconds_per_epoch: float | None) -> tuple[float, ...]:
    """Up to three lengths of training, in epochs; the longest is what the user or the time budget allows."""
    longest = config.max_epochs
    if longest is None:
        longest = UNTIMED_EPOCHS
        if config.seconds is not None and seconds_per_epoch:
            longest = config.seconds * LONGEST_SHARE / seconds_per_epoch
    levels = tuple(level for level in EPOCH_LEVELS if level <= longest)[-3:]
    if config.max_epochs is not None and config.max_epochs not in levels:
        levels = (*levels, config.max_epochs)[-3:]
    return levels or (EPOCH_LEVELS[0],)
