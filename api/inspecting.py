"""Load a model and print its facts as JSON: ``python -m litetuner.inspecting MODEL [trust]``, for ``litetuner inspect``."""

from __future__ import annotations

import json
import os
import sys

import numpy as np

from litetuner.spaces import tf
from litetuner.spaces.errors import LitetunerError, ModelError, to_json


def facts(source: str, trust: bool) -> dict[str, object]:
    """What ``litetuner inspect`` shows; the bridge is tried on random inputs, since there are no data yet."""
    tf.load()
    from litetuner.spaces.bridge import bridge
    from litetuner.spaces.layers import model_facts
    from litetuner.spaces.model import load_model

    loaded = load_model(source, trust=trust)
    first = model_facts(loaded, None, None, None)
    shape = tuple(size or 1 for size in first.input_shape[1:])
    samples = np.random.default_rng(0).random((4, *shape), dtype=np.float32)
    try:
        bridged, difference = bridge(loaded.model, samples)
        return {"model": model_facts(loaded, bridged, None, difference).to_json()}
    except ModelError as error:
        return {"model": model_facts(loaded, None, str(error), None).to_json()}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = facts(sys.argv[1], sys.argv[2] == "trust")
    except LitetunerError as error:
        answer = {"error": to_json(error)}
    answers.write(json.dumps(answer))
    answers.flush()
