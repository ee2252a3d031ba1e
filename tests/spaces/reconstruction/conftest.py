"""A small network with every kind of layer that is solved for, and samples for it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="package")
def samples() -> np.ndarray:
    """Inputs of few degrees of freedom, as real ones are."""
    basis = np.random.default_rng(1).normal(size=(12, 9, 8, 4))
    return np.tensordot(np.random.default_rng(2).normal(size=(96, 12)), basis, 1).astype(np.float32)


@pytest.fixture(scope="package")
def file() -> bytes:
    """Strides, both paddings, dilation, groups, a depth multiplier, a sum, transposed convolutions; random weights."""
    from litetuner.spaces.steps.float32 import Float32
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    tf_keras.utils.set_random_seed(5)
    layers = tf_keras.layers
    image = layers.Input((9, 8, 4))
    x = layers.Conv2D(8, (3, 2), strides=2, padding="same", activation="relu", bias_initializer="normal")(image)
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", bias_initializer="normal")(x)
    z = layers.Conv2D(16, 3, dilation_rate=2, padding="same", groups=2, activation="relu6")(x)
    x = layers.Conv2D(12, 2, padding="valid", activation="relu")(layers.Add()([y, z]))
    x = layers.Conv2DTranspose(8, (3, 2), strides=2, padding="same", activation="relu", bias_initializer="normal")(x)
    x = layers.Conv2DTranspose(8, (2, 3), strides=(1, 2), use_bias=False)(x)
    x = layers.Dense(6, use_bias=False)(layers.Flatten()(x))
    return Float32().apply(tf_keras.Model(image, layers.Softmax()(x)), None)  # type: ignore[arg-type]
