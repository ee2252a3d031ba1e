"""The score worker: runs score and compare jobs in a process with LiteRT but no TensorFlow. Metrics run only here."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import math
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives import statistics
from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.metrics.metric import Metric
from litetuner.objectives.scoring.jobs import CompareJob, CompareResult, ScoreJob, ScoreResult, TargetScoreJob
from litetuner.objectives.scoring.predict import load_interpreter, predict, read_file
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.target import Target
from litetuner.spaces.data.arrays import open_array
from litetuner.spaces.errors import BuildFailed, ConfigError, DataError
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.workspace import Workspace
from litetuner.spaces.user_function import is_function


@dataclasses.dataclass(frozen=True)
class Score:
    """The result of scoring. ``each`` (n,) are per-sample values whose mean is the metric, ``None`` if there are none.

    ``predictions`` (n, ...) are the file's outputs as real numbers, for paired comparisons of metrics that are not a
    mean.
    """

    measurement: Measurement
    each: np.ndarray | None
    predictions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Samples:
    """Samples ``x`` (n, *sample), labels ``y`` (n, ...), and their groups, ``None`` if each sample is its own group."""

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None

    def taken_by(self, metric: Metric) -> dict[str, np.ndarray]:
        """The arguments that a metric takes in addition to labels and predictions."""
        groups = np.arange(len(self.y)) if self.groups is None else np.asarray(self.groups)
        known = {"x": self.x, "groups": groups}
        return {name: known[name] for name in metric.takes}

    def first(self, count: int) -> Samples:
        groups = None if self.groups is None else self.groups[:count]
        return Samples(self.x[:count], np.asarray(self.y[:count]), groups)


Io = tuple[str, str]  # types of input and output


def score(
    file: Path | str,
    samples: Samples,
    metric: Metric,
    *,
    seed: int,
    threads: int,
    expected_io: Io | None,
    runtime: Target | None = None,
) -> Score:
    """Score a file on samples, with a 95 % interval, ``None`` if resampling the metric needs too much time or memory.

    For several outputs, the output ``metric.output`` is scored; a metric without it gets structured arrays of all
    outputs.

    ``runtime`` is a target that runs the file instead of LiteRT. ``expected_io`` are the required types of input and
    output, such as ``("int8", "int8")``; ``None`` accepts all types. Raises ``BuildFailed`` if the file is not valid
    (see ``predict`` and ``check_io``) or its metric is not finite.
    """
    x, labels = samples.x, np.asarray(samples.y)
    if len(x) != len(labels):
        raise DataError(f"there are {len(x)} samples and {len(labels)} labels")
    content = read_file(file)
    if expected_io is not None:
        check_io(content, expected_io)
    if runtime is None:
        predictions, about = predict(content, x, threads, output=metric.output), _litert(threads)
    else:
        found = runtime.predict(content, np.asarray(x), metric.output)
        predictions, about = found.outputs, dict(found.about)
    more = samples.taken_by(metric)
    value = metric.score(labels, predictions, **more)
    if not math.isfinite(value):
        raise BuildFailed(f"the metric {metric.name} of the file is {value}")
    each = metric.each(labels, predictions)
    interval: tuple[float, float] | None
    if each is None:
        interval = statistics.bootstrap_metric_interval(metric, labels, predictions, seed, more)
    else:
        interval = statistics.bootstrap_interval(each, seed)
    about["samples"] = len(x)
    if interval is None:
        about["interval"] = "none, as resampling this metric takes too long, or too much memory"
    return Score(Measurement(value, metric.name, about, interval), each, predictions)


def _litert(threads: int) -> dict[str, Any]:
    version = f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
    return {"runtime": version, "delegate": "XNNPACK", "machine": platform.machine(), "threads": threads}


def check_io(file: Path | str | bytes, expected_io: Io) -> None:
    """Raise ``BuildFailed`` unless input and output have the requested types, such as ``("float32", "float32")``.

    Integer inputs without a scale (camera bytes, tokens, flags) are not checked, because they keep the model's own
    type.
    """
    interpreter = load_interpreter(file if isinstance(file, bytes) else read_file(file))
    sides = (("input", interpreter.get_input_details()), ("output", interpreter.get_output_details()))
    for (side, details), expected in zip(sides, expected_io, strict=True):
        for detail in details:
            found = np.dtype(detail["dtype"]).name
            own = side == "input" and np.dtype(detail["dtype"]).kind in "iub" and not detail["quantization"][0]
            if found != expected and not own:
                raise BuildFailed(f"the {side} {detail['name']!r} has type {found}, {expected} was asked for")


def describe_metric(spec: str) -> MetricInfo:
    """The attributes of a metric. This imports the user's function, so call it only in workers."""
    metric = find_metric(spec)
    return MetricInfo(**{field.name: getattr(metric, field.name) for field in dataclasses.fields(MetricInfo)})


def check_metric_name(spec: str) -> None:
    """Raise ``ConfigError`` for an unknown metric name. A user's function is neither imported nor checked."""
    if not is_function(spec.partition("@")[0]):
        find_metric(spec)


def score_file(job: ScoreJob, workspace: Workspace) -> ScoreResult:
    """Score a finished file on a split. If a user's metric raises or is not finite, ``BuildFailed`` is raised."""
    samples = _samples(job, workspace)
    limit = job.limit or len(samples.x)
    with _failing_metric():
        found = score(
            workspace.artifacts.path(job.artifact),
            samples.first(limit),
            _metric(job, workspace),
            seed=job.seed,
            threads=job.threads,
            expected_io=job.io,
            runtime=find_target(job.spec).target if isinstance(job, TargetScoreJob) else None,
        )
    decomposes = found.each is not None
    return ScoreResult(
        metric=found.measurement,
        each=workspace.keep_array(found.each) if found.each is not None else None,
        predictions=workspace.keep_array(found.predictions) if not decomposes else None,
    )


def _samples(job: ScoreJob | CompareJob, workspace: Workspace) -> Samples:
    data = workspace.inspected(job.inspected).data
    groups = data.arrays[f"g_{job.split}"] if f"g_{job.split}" in data.extras else None
    return Samples(*workspace.split(data, job.split), None if groups is None else open_array(workspace.blobs, groups))


def _metric(job: ScoreJob | CompareJob, workspace: Workspace) -> Metric:
    return find_metric(job.metric, workspace.inspected(job.inspected).data.decision)


def compare(job: CompareJob, workspace: Workspace) -> CompareResult:
    """The paired difference of two outputs, over the samples of the first one."""
    blobs = (job.first_predictions, job.second_predictions)
    first, second = (None if blob is None else workspace.array(blob) for blob in blobs)
    samples = _samples(job, workspace)
    samples = samples.first(len(samples.y) if first is None else len(first))
    metric, labels, value = _metric(job, workspace), samples.y, job.value
    more = samples.taken_by(metric)
    with _failing_metric():
        if value is None:
            if first is None:
                raise ValueError("a comparison without a value needs the first one's predictions")
            value = metric.score(labels, first, **more)
        mine, theirs = None if job.first_each is None else workspace.array(job.first_each), job.second_each
        if mine is None and first is not None:
            mine = metric.each(labels, first)
        if mine is not None and theirs is not None:
            each = workspace.array(theirs)[: len(mine)]
            return CompareResult(value, *statistics.paired_difference(mine, each, job.seed), len(mine))
        if first is None or second is None:
            return CompareResult(value, None, None, len(labels))
        paired = statistics.paired_metric_difference(metric, labels, first, second[: len(labels)], job.seed, more)
        return CompareResult(value, *paired, len(labels))


@contextlib.contextmanager
def _failing_metric() -> Iterator[None]:
    """Convert the ``ConfigError`` of a failing metric to ``BuildFailed``: the candidate fails, the search continues."""
    try:
        yield
    except ConfigError as error:
        raise BuildFailed(str(error)) from error
