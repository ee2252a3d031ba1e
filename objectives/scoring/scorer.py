"""The score worker: score and compare jobs, in a process that holds LiteRT and no TensorFlow. Metrics run only here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.metrics.metric import Metric
from litetuner.objectives.scoring.jobs import CompareJob, CompareResult, ScoreJob, ScoreResult
from litetuner.objectives.scoring.score import score
from litetuner.objectives.statistics import paired_difference, paired_metric_difference
from litetuner.spaces.data.arrays import open_split
from litetuner.spaces.errors import BuildFailed, ConfigError
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.workspace import Workspace
from litetuner.spaces.user_function import is_function


def describe_metric(spec: str) -> MetricInfo:
    """What a metric is. Imports the user's function, so it is called in workers only."""
    metric = find_metric(spec)
    return MetricInfo(
        name=metric.name,
        direction=metric.direction,
        bounded=metric.bounded,
        task=metric.task,
        default_loss=metric.default_loss,
        takes_all=metric.takes_all,
        output=metric.output,
    )


def check_metric_name(spec: str) -> None:
    """Raise ``ConfigError`` for a name that no metric has. A function of the user's is not imported for that."""
    if not is_function(spec.partition("@")[0]):
        find_metric(spec)


def score_file(job: ScoreJob, workspace: Workspace) -> ScoreResult:
    """Run a finished file over a split. A user's metric that raises, or gives no finite number, is ``BuildFailed``."""
    x, y = open_split(workspace.data(workspace.inspected(job.inspected).data), job.split)
    limit = job.limit or len(x)
    with _failing_metric():
        found = score(
            workspace.artifacts.path(job.artifact),
            x[:limit],
            np.asarray(y[:limit]),
            find_metric(job.metric),
            seed=job.seed,
            threads=job.threads,
            expected_io=job.io,
        )
    decomposes = found.each is not None
    return ScoreResult(
        metric=found.measurement,
        each=workspace.keep_array(found.each) if found.each is not None else None,
        predictions=workspace.keep_array(found.predictions) if job.keep_predictions or not decomposes else None,
    )


def compare(job: CompareJob, workspace: Workspace) -> CompareResult:
    """The paired difference of two outputs, over as many samples as both have."""
    _, y = open_split(workspace.data(workspace.inspected(job.inspected).data), job.split)
    first, second = (
        None if blob is None else workspace.array(blob) for blob in (job.first_predictions, job.second_predictions)
    )
    labels = np.asarray(y if first is None else y[: len(first)])
    metric = find_metric(job.metric)
    with _failing_metric():
        value = metric.score(labels, _needed(first)) if job.value is None else job.value
        mine, theirs = _each(job.first_each, first, metric, labels, workspace), job.second_each
        if mine is not None and theirs is not None:
            each = workspace.array(theirs)[: len(mine)]
            return CompareResult(value, *paired_difference(mine, each, job.seed), len(mine))
        if first is None or second is None:
            return CompareResult(value, None, None, len(labels))
        paired = paired_metric_difference(metric, labels, first, second[: len(labels)], job.seed)
        return CompareResult(value, *paired, len(labels))


def _each(
    blob: str | None, predictions: np.ndarray | None, metric: Metric, labels: np.ndarray, workspace: Workspace
) -> np.ndarray | None:
    if blob is not None:
        return workspace.array(blob)
    return None if predictions is None else metric.each(labels, predictions)


def _needed(predictions: np.ndarray | None) -> np.ndarray:
    if predictions is None:
        raise ValueError("a comparison without a value needs the first one's predictions")
    return predictions


@contextlib.contextmanager
def _failing_metric() -> Iterator[None]:
    """What a user's metric raises is the candidate's failure, not the end of the search."""
    try:
        yield
    except ConfigError as error:
        raise BuildFailed(str(error)) from error
