"""Small real files for the tests of everything that reads a ``.tflite``: converted once a session, and only when asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

SAMPLES = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)

# layers with weights, in the model's order
LAYERS: dict[str, list[str]] = {
    "plain": [
        "conv2d",
        "batch_normalization",
        "conv2d_1",
        "depthwise_conv2d",
        "batch_normalization_1",
        "dense",
        "dense_1",
    ],
    "zeros": [
        "conv2d",
        "batch_normalization",
        "conv2d_1",
        "depthwise_conv2d",
        "batch_normalization_1",
        "dense",
        "dense_1",
    ],
    "branches": ["stem/conv", "batch_normalization", "conv2d", "separable_conv2d", "conv2d_transpose", "dense"],
    "keras3": ["conv2d", "batch_normalization", "conv2d_1", "dw", "dense"],
}


def _plain() -> Any:
    import tf_keras

    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv2d"),
            layers.BatchNormalization(name="batch_normalization"),
            layers.ReLU(),
            layers.Conv2D(8, 3, padding="same", name="conv2d_1"),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise_conv2d"),
            layers.BatchNormalization(name="batch_normalization_1"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(12, activation="relu", name="dense"),
            layers.Dense(4, activation="softmax", name="dense_1"),
        ]
    )


def _zeros() -> Any:
    """The plain model with about four fifths of its kernels' weights zero."""
    model, rng = _plain(), np.random.default_rng(1)
    for layer in model.layers:
        weights = layer.get_weights()
        if weights and weights[0].ndim > 1:
            layer.set_weights([weights[0] * (rng.random(weights[0].shape) > 0.8), *weights[1:]])
    return model


def _branches() -> Any:
    import tf_keras

    layers = tf_keras.layers
    source = layers.Input((8, 8, 3))
    x = layers.ReLU()(
        layers.BatchNormalization(name="batch_normalization")(
            layers.Conv2D(8, 3, padding="same", name="stem/conv")(source)
        )
    )
    x = layers.Add()([x, layers.Conv2D(8, 3, padding="same", name="conv2d")(x)])
    x = layers.SeparableConv2D(16, 3, padding="same", name="separable_conv2d")(x)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", name="conv2d_transpose")(x)
    x = layers.Softmax()(layers.Dense(4, name="dense")(layers.GlobalAveragePooling2D()(x)))
    return tf_keras.Model(source, x, name="mynet")


def _keras3() -> Any:
    import keras

    layers = keras.layers
    source = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="conv2d")(source)
    x = layers.ReLU()(layers.BatchNormalization(name="batch_normalization")(x))
    x = layers.Conv2D(8, 3, padding="same", name="conv2d_1")(x)
    x = layers.Flatten()(layers.DepthwiseConv2D(3, name="dw")(x))
    return keras.Model(source, layers.Dense(4, activation="softmax", name="dense")(x))


_MODELS: dict[str, Callable[[], Any]] = {"plain": _plain, "zeros": _zeros, "branches": _branches, "keras3": _keras3}


@pytest.fixture(scope="session")
def samples() -> np.ndarray:
    """Sixteen inputs (16, 8, 8, 3) of the small models."""
    return SAMPLES


@pytest.fixture(scope="session")
def layer_names() -> dict[str, list[str]]:
    """The layers with weights of each small model, in the model's order."""
    return LAYERS


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """``small_model("plain")``: a small Keras model, made once."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    @functools.cache
    def make(model: str) -> Any:
        tf_keras.utils.set_random_seed(0)
        return _MODELS[model]()

    return make


@pytest.fixture(scope="session")
def tflite(small_model: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """``tflite("plain", "int8")``: a converted file; modes float32, float16, dynamic, int8, int8io and qat."""
    from litetuner.spaces.tf import load, quiet_stdout

    tf = load()

    @functools.cache
    def convert(model: str, mode: str) -> bytes:
        network = small_model(model)
        if mode == "qat":
            import tensorflow_model_optimization as tfmot

            network = tfmot.quantization.keras.quantize_model(network)
            network(SAMPLES, training=True)
        if model == "keras3":
            folder = str(tmp_path_factory.mktemp("keras3"))
            with quiet_stdout():
                network.export(folder, verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        else:
            converter = tf.lite.TFLiteConverter.from_keras_model(network)
        if mode != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if mode == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if mode.startswith("int8"):
            converter.representative_dataset = lambda: ([sample[None]] for sample in SAMPLES)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if mode == "int8io":
            converter.inference_input_type = converter.inference_output_type = tf.int8
        with quiet_stdout():
            return bytes(converter.convert())

    return convert
