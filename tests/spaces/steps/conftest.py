"""A small digits network, trained once a session, and what the steps' tests ask of models and files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from tests.decisions import PROBABILITIES

LAYERS = ("stem", "depthwise", "pointwise", "classes")  # with weights that can be quantized
PRUNABLE = ("stem", "pointwise", "classes")  # tfmot neither prunes nor clusters depthwise kernels


def digits_network() -> Any:
    """8x8x1 -> convolution, depthwise and pointwise convolution, 10 classes; about 1,300 parameters."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = tf_keras.layers
    image = x = layers.Input((8, 8, 1), name="image")
    stem = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")
    depthwise = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")
    for layer in (stem, depthwise):
        x = layers.ReLU(name=f"{layer.name}_relu")(layers.BatchNormalization(name=f"{layer.name}_bn")(layer(x)))
    x = layers.Conv2D(32, 1, activation="relu", name="pointwise")(x)
    x = layers.Dropout(0.1, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(x))
    return tf_keras.Model(image, layers.Dense(10, activation="softmax", name="classes")(x), name="digits")


@pytest.fixture(scope="session")
def context() -> Context:
    """Digits of scikit-learn: 1,200 samples of 8x8x1 in [0, 1]."""
    from sklearn.datasets import load_digits

    from litetuner.spaces.training.losses import make_loss, named, soft_loss

    x, y = load_digits(return_X_y=True)
    x, y = (x[:1200].reshape(-1, 8, 8, 1) / 16).astype(np.float32), y[:1200]
    settings = named("classification", PROBABILITIES)
    losses = {"loss": make_loss(settings), "soft_loss": soft_loss(PROBABILITIES, settings)}
    return Context(x, y.astype(np.int64), calibration=x[:64], **losses, batch_size=32, seed=7)


@pytest.fixture(scope="session")
def probe(context: Context) -> Context:
    return dataclasses.replace(context, untrained=True)


@pytest.fixture(scope="session")
def model(context: Context) -> Any:
    """The digits network, trained to about 0.97. Tests may not change it."""
    from litetuner.spaces.training.fit import fit, seeded

    with seeded(1):
        network = digits_network()
    fit(network, context, epochs=15, learning_rate=5e-3)
    return network


@pytest.fixture(scope="session")
def pruned(model: Any, context: Context) -> Any:
    """The network with half of each kernel zero."""
    from litetuner.spaces.steps.prune import Prune

    return Prune(sparsity=0.5, leave=(), epochs=4, learning_rate=3e-3).apply(model, context)


@pytest.fixture(scope="session")
def float_file(model: Any, context: Context) -> bytes:
    from litetuner.spaces.steps.float32 import Float32

    return Float32().apply(model, context)


@pytest.fixture(scope="session")
def accuracy(context: Context) -> Callable[[Any], float]:
    """Share of right answers of a tf_keras model or a ``.tflite`` (every fourth sample) with any input type."""

    def measure(subject: Any) -> float:
        if isinstance(subject, bytes):
            x, y = context.x_train[::4], context.y_train[::4]
            return float((run(subject, x).argmax(-1) == y).mean())
        return float((subject(context.x_train, training=False).numpy().argmax(-1) == context.y_train).mean())

    return measure


def run(file: bytes, x: np.ndarray) -> np.ndarray:
    """Outputs of a ``.tflite``, sample by sample, as stored."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for sample in x:
        value = sample[None]
        if source["dtype"] != np.float32:
            scale, zero_point = source["quantization"]
            limits = np.iinfo(source["dtype"])
            value = np.clip(np.round(value / scale + zero_point), limits.min, limits.max).astype(source["dtype"])
        interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(outputs)


def kernel(model: Any, name: str) -> np.ndarray:
    """The largest weight of a layer."""
    return max(model.get_layer(name).get_weights(), key=np.size)


def weights_equal(left: Any, right: Any) -> bool:
    pairs = zip(left, right, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)
