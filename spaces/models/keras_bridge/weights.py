"""The weights of a Keras 3 layer given to its tf_keras layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from litetuner.spaces.errors import ModelError
from litetuner.spaces.models.keras_bridge.layers import SAME, SPECIAL


def copy_weights(layer: Any, twin: Any) -> None:
    """Give ``twin`` the weights of the Keras 3 ``layer``. Raises ``ModelError`` where they do not correspond."""
    kind = type(layer).__name__
    alias = {"depthwise_kernel": "kernel"} if kind.startswith("DepthwiseConv") else {}
    # Both list trainable weights first, in order of creation; names and shapes are compared because that is not guaranteed.
    given = {weight.path.rpartition("/")[2]: weight for weight in layer.weights}
    if getattr(
        layer, "lora_enabled", False
    ):  # what it computes with is the sum of its kernel and the two small matrices
        given = {key: value for key, value in given.items() if not key.startswith("lora_")}
        given = {key: getattr(layer, key) if key in ("kernel", "embeddings") else value for key, value in given.items()}
    elif len(given) != len(layer.weights):  # a layer of layers has several of one name
        given = {weight.path: weight for weight in layer.weights}
    theirs = [(key.rpartition("/")[2], tuple(weight.shape)) for key, weight in given.items()]
    names = [weight.name.rpartition("/")[2].partition(":")[0] for weight in twin.weights]
    ours = [(alias.get(name, name), tuple(weight.shape)) for name, weight in zip(names, twin.weights, strict=True)]
    if kind not in SAME and kind not in SPECIAL:  # the user's own twin may call its weights otherwise
        theirs, ours = ([shape for _, shape in side] for side in (theirs, ours))
    if theirs != ours:
        raise ModelError(
            f"layer {layer.name!r} ({kind}) has weights {theirs} in Keras 3 and {ours} in tf_keras; they cannot be copied."
        )
    twin.set_weights([np.asarray(weight) for weight in given.values()])
