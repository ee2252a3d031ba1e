"""What the conversion itself costs: the user's own model against the plain float file, on the same samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.metric import Metric
from litetuner.objectives.statistics import paired_difference, paired_metric_difference


def conversion_gap(
    metric: Metric, original: np.ndarray, scored: dict[str, np.ndarray | None], data_folder: Path | str, seed: int
) -> dict[str, Measurement]:
    """``keras_metric``, the original's own score, and ``conversion_gap``, how much worse the float file is (paired).

    ``original`` (m, ...) are the user's model's outputs on the first m samples of the search split; ``scored`` holds the file's
    per-sample values ``each`` (n,) or its ``predictions`` (n, ...), n at least m. The gap is in points for metrics within [0, 1],
    else relative to the original's, as drops are.
    """
    y: np.ndarray = np.load(Path(data_folder) / "y_search.npy", allow_pickle=False)[: len(original)]
    value = metric.score(y, original)
    theirs, each, predictions = metric.each(y, original), scored["each"], scored["predictions"]
    if theirs is not None and each is not None:
        difference, (low, high) = paired_difference(theirs, each[: len(y)], seed)
    elif predictions is not None:
        difference, (low, high) = paired_metric_difference(metric, y, original, predictions[: len(y)], seed)
    else:
        return {}
    sign = 1.0 if metric.direction == "maximize" else -1.0
    scale = sign if metric.bounded else sign / (abs(value) or 1.0)
    ends = sorted((low * scale, high * scale))
    environment: dict[str, Any] = {"split": "search", "samples": len(y), "paired": True}
    unit = "points" if metric.bounded else "relative to the original"
    return {
        "keras_metric": Measurement(value, metric.name, {"split": "search", "samples": len(y), "runtime": "Keras"}),
        "conversion_gap": Measurement(difference * scale, unit, environment, (ends[0], ends[1])),
    }
