"""Reconstructed weights in the Keras model compute what the reconstructed file computes, before any training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.models.keras_bridge.unfolding import places, unfolded
from litetuner.spaces.reconstruction.layers import layers_of
from litetuner.spaces.reconstruction.sequence import Treatment, reconstruct
from litetuner.spaces.tf import load
from litetuner.spaces.tflite.conversion import convert
from litetuner.spaces.tflite.schema import read_model
from tests.spaces.steps.conftest import run

SAMPLES = np.random.default_rng(5).normal(size=(40, 8, 8, 3)).astype(np.float32)
TOLERANCE = 1e-4  # of outputs, whose largest are about 10


def network() -> Any:
    """Every kind of layer, with and without batch normalization, bias, gamma and beta, and a residual sum."""
    load()
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)

    def normalized(x: Any, name: str, **options: bool) -> Any:
        return layers.ReLU()(layers.BatchNormalization(name=f"{name}_bn", **options)(x))

    source = layers.Input((8, 8, 3), name="image")
    x = normalized(layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(source), "conv")
    x = normalized(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x), "depthwise")
    y = normalized(layers.SeparableConv2D(16, 3, padding="same", use_bias=False, name="separable")(x), "separable")
    y = layers.BatchNormalization(name="inner_bn")(layers.Conv2D(16, 3, padding="same", name="inner")(y))
    x = layers.ReLU()(layers.Add(name="sum")([x, y]))
    x = layers.Conv2D(8, 1, activation="relu", name="biased")(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", use_bias=False, name="bare")(x)
    x = normalized(layers.Conv2D(8, 1, name="centered")(x), "centered", center=False)
    x = layers.Flatten()(normalized(layers.Conv2D(4, 1, name="unscaled")(x), "unscaled", scale=False))
    x = normalized(layers.Dense(12, name="dense")(x), "dense")
    model = tf_keras.Model(source, layers.Dense(5, name="scores")(x))
    random = np.random.default_rng(1)
    ranges = {"gamma": (0.5, 2), "beta": (-0.2, 0.8), "moving_mean": (-0.2, 0.2), "moving_variance": (0.1, 0.5)}
    for variable in model.weights:
        for name, (low, high) in ranges.items():
            if f"/{name}:" in variable.name:
                variable.assign(random.uniform(low, high, variable.shape))
    gamma = model.get_layer("conv_bn").gamma
    gamma.assign(np.where(np.arange(8) == 3, 0.0, gamma.numpy()))
    return model


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


@pytest.fixture(scope="module")
def file(model: Any) -> bytes:
    return convert(model, lambda converter, tf: None)


@pytest.fixture(scope="module")
def solved(file: bytes) -> bytes:
    layers = layers_of(read_model(file))
    return reconstruct(file, SAMPLES, {layer.operator: Treatment(0.4) for layer in layers}, seed=0).file


def test_all_kernels_are_found(model: Any, file: bytes) -> None:
    found = {(place.layer, place.index) for place in places(model, file)}
    names = ("conv", "depthwise", "inner", "biased", "bare", "centered", "unscaled", "dense", "scores")
    assert found == {(name, 0) for name in names} | {("separable", 0), ("separable", 1)}


def test_outputs_are_those_of_the_file(model: Any, file: bytes, solved: bytes) -> None:
    before = model.get_weights()
    written = unfolded(model, file, solved)
    expected = run(solved, SAMPLES)
    assert np.abs(expected - run(file, SAMPLES)).max() > 100 * TOLERANCE, "reconstruction changed something"
    np.testing.assert_allclose(written(SAMPLES, training=False).numpy(), expected, atol=TOLERANCE)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    zeros = [np.mean(written.get_layer(name).get_weights()[0] == 0) for name in ("inner", "dense", "scores")]
    assert min(zeros) > 0.39, "zeros are zeros in either"
    conv = written.get_layer("conv").get_weights()[0]
    assert np.array_equal(conv[..., 3], model.get_layer("conv").get_weights()[0][..., 3]), "its gamma is 0"


def test_without_changes_it_is_the_same_model(model: Any, file: bytes) -> None:
    written = unfolded(model, file, file)
    assert [layer.name for layer in written.layers] == [layer.name for layer in model.layers]
    for ours, theirs in zip(written.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_a_layer_that_the_model_does_not_have_is_named(model: Any, file: bytes, solved: bytes) -> None:
    import tf_keras

    shallow = tf_keras.Model(model.inputs, model.get_layer("sum").output)
    with pytest.raises(BuildFailed, match=r"weights of .*biased.*Identity cannot be written back: no layer"):
        unfolded(shallow, file, solved)


def test_a_layer_with_other_weights_than_the_file_is_named(file: bytes, solved: bytes) -> None:
    other = network()
    kernel = other.get_layer("inner").kernel
    kernel.assign(kernel.numpy()[::-1])
    with pytest.raises(BuildFailed, match="weights of inner cannot be written back: in the file they are not"):
        unfolded(other, file, solved)
