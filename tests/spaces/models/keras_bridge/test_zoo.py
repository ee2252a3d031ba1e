"""The bridge on the architectures that people start from: equal outputs on random weights and alive batch statistics.

Two small ones always; all of them by `make test-zoo`, at the smallest inputs that they take.
"""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.models.checkpoint import read_model, write_model
from litetuner.spaces.models.keras_bridge.bridge import TOLERANCE, bridge
from litetuner.spaces.tf import load

ZOO = {
    "MobileNet": 32,
    "MobileNetV3Large": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "DenseNet121": 32,
    "Xception": 71,
    "InceptionV3": 75,
}


def randomised(name, size):
    load()
    import keras

    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            drawn = {
                "gamma": (0.7, 1.3),
                "beta": (-0.1, 0.1),
                "moving_mean": (-0.1, 0.1),
                "moving_variance": (0.7, 1.3),
            }
            for weight in layer.weights:
                weight.assign(random.uniform(*drawn[weight.name], weight.shape))
    return model


def check(name, size):
    model = randomised(name, size)
    x = np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype("float32")
    copy, difference = bridge(model, x)
    assert difference <= TOLERANCE
    assert {layer.name for layer in copy.layers} >= {layer.name for layer in model.layers if layer.weights}
    read = read_model(write_model(copy))
    np.testing.assert_array_equal(np.asarray(read(x, training=False)), np.asarray(copy(x, training=False)))


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_small_ones(name):
    check(name, 32)


@pytest.mark.zoo
@pytest.mark.parametrize("name", ZOO)
def test_zoo(name):
    check(name, ZOO[name])
