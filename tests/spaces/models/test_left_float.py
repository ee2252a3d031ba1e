"""What quantization-aware training cannot take is named in the label's details; nested models are flattened first."""

from __future__ import annotations

import numpy as np

from litetuner.spaces.models.keras_bridge.bridge import bridge
from litetuner.spaces.quantization.qat_scheme import refusals
from litetuner.spaces.steps.qat import Qat
from litetuner.spaces.tf import load


def test_layers_left_out_of_a_nested_model_are_named() -> None:
    load()
    import keras

    layers = keras.layers
    inner = keras.Sequential([keras.Input((12, 6)), layers.Conv1D(8, 3, name="conv"), layers.MaxPooling1D(name="pool")])
    outer = [keras.Input((12,), dtype="int32"), layers.Embedding(20, 6, name="embed"), inner]
    model = keras.Sequential([*outer, layers.LSTM(5, name="lstm"), layers.Dense(3, name="head")])
    copy, _ = bridge(model, np.ones((2, 12), np.int32))
    assert not any(hasattr(layer, "layers") for layer in copy.layers)
    left = refusals(copy)
    assert {name.rpartition("/")[2] for name in left} == {"embed", "conv", "pool", "lstm"}
    named = Qat(skip=tuple(left)).details()
    assert named == [f"qat: {name} is trained in float, and quantized afterwards" for name in left]
