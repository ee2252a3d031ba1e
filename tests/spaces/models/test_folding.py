"""A folded model computes what it computed before, with fewer layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.models.folding import fold, foldable
from litetuner.spaces.tf import load


@pytest.fixture(scope="module")
def network() -> Any:
    """Every layer type that can be folded into, and three normalizations that cannot go: shared, activated, first."""
    load()
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    source = layers.Input((8, 8, 3), name="image")
    x = layers.BatchNormalization(name="first")(source)
    x = layers.ReLU()(layers.BatchNormalization(name="a_bn")(layers.Conv2D(4, 3, use_bias=False, name="a")(x)))
    x = layers.BatchNormalization(name="b_bn", scale=False)(layers.DepthwiseConv2D(3, depth_multiplier=2, name="b")(x))
    x = layers.BatchNormalization(name="c_bn", center=False)(layers.Conv2DTranspose(6, 3, name="c")(x))
    x = layers.BatchNormalization(name="d_bn")(layers.Conv2D(6, 1, activation="relu", name="d")(x))
    y = layers.Conv2D(6, 1, name="e")(x)
    x = layers.Add()([layers.BatchNormalization(name="e_bn")(y), y])
    x = layers.Dense(5, name="f")(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(3, name="out")(layers.BatchNormalization(name="f_bn")(x))
    model = tf_keras.Model(source, x)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.endswith(("bn", "first")):
            layer.set_weights([generator.uniform(0.5, 2, value.shape) for value in layer.get_weights()])
    return model


def test_outputs_are_equal(network: Any) -> None:
    before = network.get_weights()
    folded = fold(network)
    assert foldable(network) == {"a_bn": "a", "b_bn": "b", "c_bn": "c", "f_bn": "f"}
    assert {layer.name for layer in network.layers} - {layer.name for layer in folded.layers} == set(foldable(network))
    x = np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype(np.float32)
    expected = network(x, training=False).numpy()
    np.testing.assert_allclose(folded(x, training=False).numpy(), expected, atol=1e-5 * np.abs(expected).max())
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
    assert (folded.input_names, folded.output_names) == (network.input_names, network.output_names)


def test_nothing_to_fold_is_a_copy(network: Any) -> None:
    again = fold(fold(network))
    assert [layer.name for layer in again.layers] == [layer.name for layer in fold(network).layers]
