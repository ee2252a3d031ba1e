"""Load a model and print its facts as JSON: ``python -m litetuner.inspecting REQUEST``, for ``litetuner inspect``.

The request is JSON: ``{model, trust, custom_objects, data, preprocess, metric, task, threshold}``, data being ``null`` for none.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces import tf
from litetuner.spaces.errors import LitetunerError, to_json
from litetuner.spaces.jobs.workspace import Sources, Workspace
from litetuner.spaces.models.decision import OutputSettings
from litetuner.spaces.models.loading.load import LoadedModel, load_model, sized
from litetuner.spaces.store import Store

SAMPLES = 4
REAL_SAMPLES = 32


def facts(request: dict[str, Any]) -> dict[str, object]:
    """What ``litetuner inspect`` shows; the bridge is tried on the user's data, or without them on random inputs."""
    tf.load()
    from litetuner.spaces.building.trainable import rebuild
    from litetuner.spaces.models.input_shapes import sample_shapes
    from litetuner.spaces.models.inspection import model_info
    from litetuner.spaces.models.signature import input_tensors

    loaded = load_model(request["model"], trust=request["trust"], custom_objects=request["custom_objects"])
    found: dict[str, object] = {}
    if request["data"] is None:
        loaded = sized(loaded, None, request["model"])
        samples = _random_samples(input_tensors(loaded.model))
    else:
        with tempfile.TemporaryDirectory(prefix="litetuner-") as folder:
            data, samples = _real_samples(loaded, request, Path(folder))
            found["data"] = data
        loaded = sized(loaded, sample_shapes(input_tensors(loaded.model), samples), request["model"])
    copy, refusal, difference = rebuild(loaded.model, samples)
    return {"model": model_info(loaded, copy, refusal, difference).to_json()} | found


def _random_samples(ports: tuple[Any, ...]) -> np.ndarray:
    from litetuner.spaces.data.named_arrays import pack

    rng = np.random.default_rng(0)
    drawn = {
        # Integers index tables of unknown length: their first two rows.
        port.name: rng.random((SAMPLES, *port.shape[1:]), dtype=np.float32)
        if port.dtype.startswith(("float", "bfloat"))
        else rng.integers(0, 2, (SAMPLES, *port.shape[1:]))
        for port in ports
    }
    return pack(drawn) if len(drawn) > 1 else next(iter(drawn.values()))


def _real_samples(loaded: LoadedModel, request: dict[str, Any], folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    from litetuner.objectives.scoring.scorer import describe_metric
    from litetuner.spaces.building.inspect import prepare
    from litetuner.spaces.data.arrays import open_split

    sources = Sources(data=request["data"], preprocess=request["preprocess"])
    workspace = Workspace(folder, Store(folder), Store(folder), sources)
    asked = OutputSettings(request["task"], request["threshold"])
    data = prepare(loaded, describe_metric(request["metric"]), asked, workspace, 0)
    split = "train" if data.counts["train"] else "search"
    return data.to_json(), np.array(open_split(workspace.data(data), split)[0][:REAL_SAMPLES])


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = facts(json.loads(sys.argv[1]))
    except LitetunerError as error:
        answer = {"error": to_json(error)}
    answers.write(json.dumps(answer))
    answers.flush()
