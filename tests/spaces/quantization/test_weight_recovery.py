"""Weights on a 4-bit grid come back as int4 of the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.quantization.quantizer import recover_int4
from litetuner.spaces.quantization.weight_recovery import grid_steps
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.tflite.weights import weights_by_layer

GENERATOR = np.random.default_rng(3)
SAMPLES = GENERATOR.normal(size=(16, 8, 8, 3)).astype(np.float32)


def on_grid(shape: tuple[int, ...], low: int = -7) -> np.ndarray:
    """Whole multiples of a step a channel (last axis); the first channel leaves gaps between its values."""
    whole = GENERATOR.integers(low, 8, size=shape)
    whole[..., 0] = np.where(whole[..., 0] > 0, 5, -2)
    return (whole * GENERATOR.uniform(0.01, 0.3, size=shape[-1])).astype(np.float32)


@pytest.fixture(scope="module")
def float_file() -> bytes:
    """A convolution with batch norm and a dense layer on grids, between layers that are not."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = tf_keras.layers
    source = layers.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="stem")(source)
    x = layers.Conv2D(12, 3, use_bias=False, name="grid")(layers.ReLU()(x))
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(x))
    model = tf_keras.Model(source, x)
    model.get_layer("grid").set_weights([on_grid((3, 3, 6, 12), low=-8)])
    model.get_layer("head").set_weights([on_grid((12, 5)), np.ones(5, np.float32)])
    norm = model.get_layer("norm")
    norm.set_weights([GENERATOR.uniform(0.5, 2, size=12) for _ in norm.get_weights()])
    empty = np.zeros((0,), np.float32)
    return Float32().apply(model, Context(empty, empty, empty, "mse", 1, 0))


@pytest.mark.parametrize("recipe", ["static_wi8_ai8", "dynamic_wi8", "weight_only_wi8"])
def test_named_layers_become_int4_of_the_same_values(recipe: str, float_file: bytes) -> None:
    file = recover_int4(float_file, ["grid", "head"], SAMPLES, recipe)
    before, after = (weights_by_layer(each, ["stem", "grid", "head"]) for each in (float_file, file))
    assert {name: weight.dtype for name, weight in after.items()} == {"stem": "int8", "grid": "int4", "head": "int4"}
    for name in ("grid", "head"):
        scale = after[name].scale.reshape(-1, *[1] * (after[name].values.ndim - 1))
        found, expected = after[name].values * scale, before[name].values
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()  # float32 rounding


def test_what_lies_on_no_grid_fails(float_file: bytes) -> None:
    with pytest.raises(BuildFailed, match="6 of 6 channels lie on no grid of 4 bits"):
        recover_int4(float_file, ["stem"], SAMPLES)


def test_only_layers_of_the_file_can_be_recovered(float_file: bytes) -> None:
    with pytest.raises(BuildFailed, match="'nowhere'"):
        recover_int4(float_file, ["nowhere"], SAMPLES)


def test_depthwise_layers_have_no_int4(float_file: bytes) -> None:
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    source = tf_keras.layers.Input((8, 8, 3))
    model: Any = tf_keras.Model(source, tf_keras.layers.DepthwiseConv2D(3, name="deep")(source))
    empty = np.zeros((0,), np.float32)
    file = Float32().apply(model, Context(empty, empty, empty, "mse", 1, 0))
    with pytest.raises(Refused, match="DEPTHWISE_CONV_2D"):
        recover_int4(file, ["deep"], SAMPLES)


def test_grid_steps() -> None:
    rows = np.array([[0, 0, 0], [0.5, -1.0, 0.25], [0.2, 0.5, 0.0], [1.0, 0.77, 0.123], [-0.8, 0.1, 0.7]])
    steps = grid_steps(rows, 4)
    assert steps[0] == 1 and np.isnan(steps[3])
    assert steps[[1, 2, 4]] == pytest.approx([0.25, 0.1, 0.1])
