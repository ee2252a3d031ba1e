"""A session: model, data, cache, executor and inspection, as search, init and rebuild need them."""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from litetuner.objectives.scoring.scorer import check_metric_name
from litetuner.search.clock import Clock
from litetuner.search.config.config import Config
from litetuner.search.criteria import find_criteria
from litetuner.search.evaluation.identity import identity
from litetuner.search.evaluation.inspection import inspect
from litetuner.search.evaluation.limits import job_limits
from litetuner.search.evaluation.services import Services
from litetuner.search.listener import Listener
from litetuner.search.proposals.samplers import SAMPLERS
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.records import Inspection
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.machine import this_environment
from litetuner.search.runtime.target_availability import TargetAvailability
from litetuner.spaces.building.jobs import DescribeJob
from litetuner.spaces.errors import (
    BuildFailed,
    ConfigError,
    DataError,
    HostError,
    LitetunerError,
    Lost,
    ModelError,
    RunError,
    nearest,
)
from litetuner.spaces.info import ModelInfo
from litetuner.spaces.quantization.precision import fixed_precision
from litetuner.spaces.rules import SpaceConstraints
from litetuner.spaces.steps import STEPS


@dataclasses.dataclass(frozen=True)
class Session:
    """An inspected model and its data, with the services to work on them; usable until the session is closed."""

    folder: RunFolder
    config: Config
    clock: Clock
    services: Services


@contextlib.contextmanager
def open_session(
    config: Config,
    folder: RunFolder,
    listener: Listener,
    *,
    contents: Mapping[str, Any] | None = None,
    or_metric: str | None = None,
) -> Iterator[Session]:
    """Start the executor, inspect model and data, and end all processes after the ``with`` block.

    ``contents`` is the result of ``identity``. Data that do not suit the metric (``DataError``) are inspected again
    with ``or_metric``, if given. Raises ``UsageError`` for unusable input, ``HostError`` if this machine does not work.
    """
    check_names(config)
    contents = identity(config) if contents is None else contents
    executor = EXECUTORS[config.executor](folder, config)
    config = executor.config
    clock, environment = Clock(folder, config.parallel), this_environment()
    try:
        cache = JobCache(folder, executor)
        clock.nodes, clock.longest_queues = cache.node_seconds, executor.longest_queues
        listener.doing("inspecting the model and the data")
        try:
            inspection, seconds = inspect(folder, config, contents, cache, environment, listener.doing)
        except DataError as error:
            if or_metric is None:
                raise
            config = config.model_copy(update={"metric": or_metric})
            try:
                inspection, seconds = inspect(folder, config, contents, cache, environment, listener.doing)
            except DataError:
                raise error from None
        clock.count(seconds)
        services = Services(
            folder=folder,
            config=config,
            inspection=inspection,
            constraints=constraints(config, inspection),
            criteria=find_criteria(config, inspection.metric),
            availability=TargetAvailability({item.name: item.target for item in config.named_targets}),
            cache=cache,
            environment=environment,
            device=executor.device.kind,
        )
        yield Session(folder, config, clock, services)
    finally:
        executor.close()
        if folder.path.exists():
            clock.save()


def describe_model(config: Config, folder: RunFolder) -> ModelInfo:
    """Inspect the model without reading the data. Raises ``UsageError`` and ``HostError`` as ``open_session`` does."""
    check_names(config)
    executor = EXECUTORS[config.executor](folder, config)
    try:
        job = DescribeJob(environment=this_environment(), limits=job_limits(config, "inspect"))
        return executor.submit(job).result().value.model
    except BuildFailed as error:
        raise ModelError(f"inspecting the model {config.model} failed: {error}.") from error
    except Lost as error:
        raise HostError(f"inspecting the model was cut short: {error}. Is there enough memory?") from error
    finally:
        executor.close()


@contextlib.contextmanager
def temporary_folder(beside: Path, prefix: str, option: str = "--out") -> Iterator[RunFolder]:
    """A temporary run folder below ``beside``. It is removed at the end, unless an error names a log in it.

    Raises ``RunError``, which names ``option``, if ``beside`` cannot be written.
    """
    try:
        beside.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=beside))
    except OSError as error:
        raise RunError(f"cannot write {beside}: {error.strerror}. Choose another {option}.") from error
    named = False
    try:
        folder = RunFolder(temporary / "run")
        folder.create()
        yield folder
    except LitetunerError as error:
        named = "its log is" in str(error).lower()
        raise
    finally:
        if not named:
            shutil.rmtree(temporary, ignore_errors=True)


def check_names(config: Config) -> None:
    """Check the names of executor, sampler, steps and metric. Raises ``ConfigError`` for an unknown one.

    A user's own metric is checked later, by a worker.
    """
    check_metric_name(config.metric)
    for key, given, known in (
        ("executor", (config.executor,), EXECUTORS),
        ("sampler", (config.sampler,), SAMPLERS),
        ("steps", config.steps, STEPS),
    ):
        for name in given:
            if name not in known:
                raise ConfigError(f"{key}: there is no {name!r}{nearest(name, known)} ({', '.join(sorted(known))})")


def constraints(config: Config, inspection: Inspection) -> SpaceConstraints:
    """The constraints that the model, the data and the configuration put on candidates."""
    steps = frozenset(config.steps) if config.steps else None
    precision = fixed_precision(config.precision, inspection.model, steps)
    data = inspection.data
    samples = data.counts["train"]
    return SpaceConstraints(
        inspection.model,
        bool(samples) and data.labeled,
        steps,
        precision,
        unlabeled=not data.labeled,
        training_samples=samples,
        calibration=config.calibration,
    )
