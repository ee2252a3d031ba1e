"""The score of a ``.tflite``: a metric of its predictions, with interval and conditions."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import platform
from pathlib import Path

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.metric import Metric
from litetuner.objectives.scoring.predict import load_interpreter, predict, read_file
from litetuner.objectives.statistics import bootstrap_interval, bootstrap_metric_interval
from litetuner.spaces.errors import BuildFailed, DataError


@dataclasses.dataclass(frozen=True)
class Score:
    """What scoring gives. ``each`` (n,) are per-sample values whose mean is the metric, ``None`` where it has none.

    ``predictions`` (n, ...) are the file's outputs as real numbers, for paired comparisons of metrics that are no mean.
    """

    measurement: Measurement
    each: np.ndarray | None
    predictions: np.ndarray


def score(
    file: Path | str,
    x: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    *,
    seed: int,
    threads: int,
    expected_io: tuple[str, str] | None,
) -> Score:
    """Score a file on samples ``x`` (n, *sample) with labels ``y`` (n, ...); the interval is of 95 %.

    Of several outputs that of ``metric.output`` counts; a metric without one gets structured arrays of all.

    ``expected_io`` are the types that input and output must have, such as ``("int8", "int8")``; ``None`` takes any.
    Raises ``BuildFailed`` when the file is not valid (see ``predict`` and ``check_io``) or has no finite metric.
    """
    if len(x) != len(y):
        raise DataError(f"there are {len(x)} samples and {len(y)} labels")
    content = read_file(file)
    if expected_io is not None:
        check_io(content, expected_io)
    predictions = predict(content, x, threads, output=metric.output)
    labels = np.asarray(y)
    value = metric.score(labels, predictions)
    if not math.isfinite(value):
        raise BuildFailed(f"the metric {metric.name} of the file is {value}")
    each = metric.each(labels, predictions)
    interval = (
        bootstrap_metric_interval(metric, labels, predictions, seed) if each is None else bootstrap_interval(each, seed)
    )
    return Score(Measurement(value, metric.name, _environment(len(x), threads), interval), each, predictions)


INDICES = ("int32", "int64", "bool")


def check_io(file: Path | str | bytes, expected_io: tuple[str, str]) -> None:
    """Raise ``BuildFailed`` unless input and output have the types asked for, such as ``("float32", "float32")``.

    Inputs that hold indices (tokens, flags) are not quantized: they keep their type whatever is asked for.
    """
    interpreter = load_interpreter(file if isinstance(file, bytes) else read_file(file))
    sides = (("input", interpreter.get_input_details()), ("output", interpreter.get_output_details()))
    for (side, details), expected in zip(sides, expected_io, strict=True):
        for detail in details:
            found = np.dtype(detail["dtype"]).name
            if found != expected and not (side == "input" and found in INDICES):
                raise BuildFailed(f"the {side} {detail['name']!r} has type {found}, {expected} was asked for")


def _environment(samples: int, threads: int) -> dict[str, object]:
    return {
        "runtime": f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}",
        "delegate": "XNNPACK",
        "machine": platform.machine(),
        "samples": samples,
        "threads": threads,
    }
