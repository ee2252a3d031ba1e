"""The scorer: score jobs, in a worker process that holds LiteRT and no TensorFlow."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np

from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.scoring.score import score
from litetuner.spaces.data.preparation import open_split
from litetuner.spaces.info import DataInfo
from litetuner.spaces.store import Store


@dataclasses.dataclass(frozen=True)
class Scorer:
    """Runs a finished file over a split and keeps what paired comparisons need as blobs."""

    blobs: Store

    def score(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """``file`` (path) on ``split``, its first ``limit`` samples or all; gives the metric, and per-sample values as blobs."""
        data = DataInfo.from_json(inputs["data"])
        x, y = open_split(data.folder, inputs["split"])
        limit = inputs["limit"] or len(x)
        found = score(
            inputs["file"],
            x[:limit],
            np.asarray(y[:limit]),
            find_metric(inputs["metric"]),
            seed=inputs["seed"],
            threads=inputs["threads"],
            expected_io=None if inputs["io"] is None else tuple(inputs["io"]),
        )
        decomposes = found.each is not None
        return {
            "metric": found.measurement.to_json(),
            "each": self._keep(found.each) if decomposes else None,
            "predictions": self._keep(found.predictions) if inputs["keep_predictions"] or not decomposes else None,
        }

    def _keep(self, values: Any) -> str:
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(values), allow_pickle=False)
        return self.blobs.put(buffer.getvalue(), ".npy")
