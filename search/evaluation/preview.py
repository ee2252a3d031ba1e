"""A first look at a model and its data: what the original costs, and what plain int8 would, measured in under a minute."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from litetuner.objectives.metrics.choice import find_metric
from litetuner.search.clock import Clock
from litetuner.search.config.config import Config
from litetuner.search.evaluation.evaluator import Evaluator
from litetuner.search.evaluation.inspection import Inspection, identity, inspect
from litetuner.search.evaluation.pipeline import Work
from litetuner.search.listener import Listener
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed, DataError, Lost, RunError
from litetuner.spaces.rules import SpaceConstraints, broken_rules
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

SAMPLES = 1000  # of the search split: enough to see whether the model fits its data
REGRESSION = "mae"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a file costs; ``latency_us`` is ``None`` where it could not be timed."""

    file_bytes: int
    compressed_bytes: int
    latency_us: float | None


@dataclasses.dataclass(frozen=True)
class Preview:
    """``metric`` is of the original on the first ``samples`` of the search split. ``int8`` is ``None`` where it cannot be had."""

    config: Config
    inspection: Inspection
    original: Cost
    int8: Cost | None
    metric: float
    samples: int


def preview_model(
    config: Config, place: Path, listener: Listener | None = None, *, guess_metric: bool = False
) -> Preview:
    """Inspect, convert, time and score the original, and convert and time its int8 file, in worker processes.

    They work in a folder of their own below ``place``, which is removed. With ``guess_metric`` labels that are no class numbers
    make it a regression. Raises ``ModelError`` or ``DataError`` as a search would, ``BuildFailed`` when the original cannot be
    converted.
    """
    listener = listener or Listener()
    identity(config)
    try:
        place.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".litetuner-init-", dir=place))
    except OSError as error:
        raise RunError(f"cannot write {place}: {error.strerror}. Choose another --out.") from error
    folder = RunFolder(temporary / "run")
    folder.create()
    executor = EXECUTORS[config.executor](folder, config)
    try:
        cache = JobCache(folder, executor)
        listener.doing("inspecting the model and the data")
        config, inspection = _inspected(folder, config, cache, guess_metric)
        around = SpaceConstraints(inspection.model, bool(inspection.data.counts["train"]))
        evaluator = Evaluator(folder, config, find_metric(config.metric), inspection, around, cache)
        listener.doing("converting, timing and scoring the original")
        original, artifact, work = _cost(evaluator, Candidate((step_for(Role.FLOAT)(),)))
        samples = min(SAMPLES, inspection.data.counts["search"])
        scored = evaluator.score(artifact["artifact"], "search", work, work.candidate, limit=samples)
        listener.doing("converting and timing int8")
        return Preview(config, inspection, original, _int8(evaluator), scored["metric"]["value"], samples)
    finally:
        executor.close()
        shutil.rmtree(temporary, ignore_errors=True)


def _inspected(folder: RunFolder, config: Config, cache: JobCache, guess_metric: bool) -> tuple[Config, Inspection]:
    try:
        return config, inspect(folder, config, find_metric(config.metric), cache, Clock(folder))
    except DataError as error:
        if not guess_metric:
            raise
        other = config.model_copy(update={"metric": REGRESSION})
        try:
            return other, inspect(folder, other, find_metric(REGRESSION), cache, Clock(folder))
        except DataError:
            raise error from None


def _int8(evaluator: Evaluator) -> Cost | None:
    candidate = Candidate((step_for(Role.INTEGER)(), step_for(Role.SLIM)()))
    if broken_rules(candidate, evaluator.around):
        return None
    try:
        return _cost(evaluator, candidate)[0]
    except (BuildFailed, Lost):
        return None  # an answer: int8 cannot be had of this model


def _cost(evaluator: Evaluator, candidate: Candidate) -> tuple[Cost, dict[str, Any], Work]:
    work = Work(evaluator, candidate)
    artifact = evaluator.build(candidate, [], False, work)
    measured = evaluator.time(artifact, evaluator.config.targets[0], work)
    latency = next((found.value for name, found in measured.items() if name.startswith("latency_us")), None)
    return Cost(artifact["file_bytes"], artifact["compressed_bytes"], latency), artifact, work
