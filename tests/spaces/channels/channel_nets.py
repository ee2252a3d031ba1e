"""Small networks in which channels meet in every way, and the oracle: the original, with the channels that go masked where
they are made, gives the cut model's outputs to 1e-4 of the largest one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from litetuner.spaces.channels.groups import ChannelGraph, nodes
from litetuner.spaces.channels.layer_rules import KERNELS
from litetuner.spaces.context import Context
from litetuner.spaces.steps.channels import Channels
from litetuner.spaces.tf import load

TOLERANCE = 1e-4  # of the largest output: float32 rounding through up to 240 layers
# Where a channel that goes must be masked: where it is made, and where something is added to it. Not in merges, poolings,
# concatenations, flattenings: what the analysis says of those is what the oracle is there to prove.
MASKED = {*KERNELS, "Activation", "ELU", "LeakyReLU", "ReLU", "Rescaling"}
Cut = functools.partial(Channels, importance="l1", recover="none")  # what is left computes as it did
EMPTY = np.zeros((0,), np.float32)
CONTEXT = Context(EMPTY, EMPTY, EMPTY, loss="mse", batch_size=1, seed=3)


def randomise(model: Any, gain: float = 1.0) -> Any:
    """Random biases and statistics: zeros and the identity would hide faults. Kernels are multiplied by ``gain``."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        values = []
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            name = weight.name.rpartition("/")[2].partition(":")[0]
            if name in ("gamma", "moving_variance"):
                value = random.uniform(0.7, 1.3, value.shape)
            elif name in ("bias", "beta", "moving_mean", "alpha"):
                value = random.normal(0, 0.2, value.shape)
            else:
                value = value * gain
            values.append(value)
        layer.set_weights(values)
    return model


def masked(model: Any, graph: ChannelGraph, kept: np.ndarray, x: np.ndarray, enliven: bool = False) -> np.ndarray:
    """The original's outputs with the channels that are not kept multiplied by 0, layer by layer.

    ``enliven`` sets each batch normalization's statistics at random around those of what reaches it: with others, most
    channels of a deep network are dead, and its output is hardly more than its last bias.
    """
    values = {id(model.inputs[0]): x}
    for node, call in zip(nodes(model), graph.calls, strict=True):
        supply = {str(id(item)): [values[id(item)]] * len(node.keras_inputs) for item in node.keras_inputs}
        args, kwargs = node.map_arguments(supply)
        if enliven and type(node.layer).__name__ == "BatchNormalization":
            _set_statistics(node.layer, np.asarray(args[0]))
        weights = node.layer.get_weights()
        node.layer.set_weights(_without_heads(call, weights, kept[graph.roots[call.heads]]))
        value = node.layer(*args, **kwargs)
        node.layer.set_weights(weights)
        if type(node.layer).__name__ in MASKED:
            value = value * kept[graph.roots[call.output]].astype(np.float32)
        values[id(node.outputs)] = value
    return np.asarray(values[id(model.outputs[0])])


def _without_heads(call: Any, weights: list[np.ndarray], kept: np.ndarray) -> list[np.ndarray]:
    """An attention's weights, with nothing coming out of the heads that go."""
    if not len(kept):
        return weights
    return [
        value * kept[:, None, None] if "attention_output/kernel" in weight.name else value
        for weight, value in zip(call.layer.weights, weights, strict=True)
    ]


def _set_statistics(layer: Any, value: np.ndarray) -> None:
    random = np.random.default_rng(value.shape[-1])
    axes = tuple(range(value.ndim - 1))
    variance = value.var(axes)
    variance = np.where(variance > 1e-6, variance, 1.0)  # of a masked channel
    layer.moving_mean.assign(value.mean(axes) + random.normal(0, 0.3, variance.shape) * np.sqrt(variance))
    layer.moving_variance.assign(variance * random.uniform(0.7, 1.3, variance.shape))


def inputs(model: Any, count: int = 4) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, *model.inputs[0].shape[1:])).astype(np.float32)


def distance(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.max(np.abs(left - right)) / np.max(np.abs(left)))


def check_oracle(model: Any, step: Channels, x: np.ndarray | None = None) -> Any:
    x = inputs(model) if x is None else x
    graph, kept = step.plan(model, CONTEXT)
    narrow = step.apply(model, CONTEXT)
    expected = masked(model, graph, kept, x)
    assert distance(expected, narrow(x, training=False).numpy()) < TOLERANCE
    assert expected.std(axis=0).max() > 0.02 * np.abs(expected).max()  # the network is alive
    assert distance(expected, model(x, training=False).numpy()) > 0.01  # the mask does something
    assert [(layer.name, type(layer)) for layer in narrow.layers] == [
        (layer.name, type(layer)) for layer in model.layers
    ]
    return narrow


def build(shape: tuple[int, ...], body: Callable[[Any, Any], Any]) -> Any:
    load()
    import tf_keras

    tf_keras.utils.set_random_seed(11)
    source = tf_keras.layers.Input(shape, name="image")
    return randomise(tf_keras.Model(source, body(tf_keras.layers, source)), gain=2.0)


def norm_relu(layers: Any, x: Any) -> Any:
    # Leaky: where a channel happens to be dead, no fault in it could be seen.
    return layers.ReLU(negative_slope=0.2)(layers.BatchNormalization()(x))


def residual(layers: Any, x: Any) -> Any:
    x = norm_relu(layers, layers.Conv2D(16, 3, padding="same", name="stem")(x))
    y = norm_relu(layers, layers.Conv2D(24, 3, padding="same", name="first")(x))
    y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", name="second")(y))
    x = layers.Activation("relu")(layers.Add(name="add")([x, y]))
    y = layers.Conv2D(32, 1, name="third")(layers.ZeroPadding2D()(x))
    x = layers.Conv2D(32, 1, name="shortcut")(layers.ZeroPadding2D()(x))
    x = layers.MaxPooling2D()(layers.Subtract()([layers.Maximum()([x, y]), layers.Average()([x, y])]))
    return layers.Dense(5, name="head")(layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x)))


def squeeze_excite(layers: Any, x: Any) -> Any:
    x = layers.Activation("swish")(layers.BatchNormalization()(layers.Conv2D(32, 3, name="stem")(x)))
    gate = layers.Reshape((1, 1, 32))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(16, 1, activation="elu", name="squeeze")(gate)
    gate = layers.Conv2D(32, 1, name="excite")(gate)
    gate = layers.Rescaling(1 / 6)(layers.ReLU(6.0)(layers.Rescaling(1.0, 3.0)(gate)))
    x = layers.Multiply(name="scale")([x, gate])
    flat = layers.Dense(16, activation="sigmoid", name="dense_squeeze")(layers.GlobalMaxPooling2D(name="pool")(x))
    flat = layers.Dense(32, activation="sigmoid", name="dense_excite")(flat)
    x = layers.Multiply()([layers.Reshape((1, 1, -1))(flat), x])
    x = layers.Multiply(name="where")([x, layers.Conv2D(1, 1, activation="sigmoid", name="map")(x)])
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(x))


def dense_block(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(16, 3, padding="same", name="stem")(x)
    for number in range(2):
        y = layers.Conv2D(32, 1, name=f"narrow{number}")(norm_relu(layers, x))
        y = layers.Conv2D(16, 3, padding="same", name=f"grow{number}")(norm_relu(layers, y))
        x = layers.Concatenate()([x, y])
    y = layers.Conv2D(48, 1, name="all")(x)  # 16 of its channels meet each of the three layers above
    x = layers.UpSampling2D()(layers.AveragePooling2D()(layers.Add()([x, y])))
    x = layers.Concatenate(axis=1)([x, layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x))])
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(norm_relu(layers, x)))


def separable(layers: Any, x: Any) -> Any:
    x = norm_relu(layers, layers.Conv2D(16, 3, name="stem")(x))
    x = norm_relu(
        layers,
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="deep")(x),
    )
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(24, 1, name="point")(x))
    x = layers.SeparableConv2D(32, 3, depth_multiplier=2, activation="relu", name="both")(x)
    x = layers.LeakyReLU()(layers.Conv2DTranspose(16, 3, strides=2, name="up")(x))
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(layers.PReLU()(x)))


def flatten_dense(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="stem")(x)
    rows = layers.Reshape((9, 16))(x)
    rows = layers.Conv1D(24, 3, padding="causal", name="steps")(rows)
    flat = layers.BatchNormalization()(layers.Flatten()(rows))
    both = layers.Concatenate()([flat, layers.Reshape((144,))(x)])
    both = layers.Dense(32, activation="tanh", name="hidden")(both)
    back = layers.Reshape((3, 3, 16))(
        layers.Dense(144, name="wide")(both)
    )  # each of 16 channels at 9 places of a Dense
    x = layers.Conv2D(16, 1, name="last")(layers.Add()([back, x]))
    return layers.Dense(5, name="head")(layers.Flatten()(x))


def shared(layers: Any, x: Any) -> Any:
    """One convolution, one batch normalization and one ReLU called twice, the ReLU on two widths."""
    one, norm, relu = (
        layers.Conv2D(16, 3, padding="same", name="one"),
        layers.BatchNormalization(),
        layers.ReLU(),
    )
    left = layers.Conv2D(16, 1, name="left")(x)
    right = layers.Conv2D(16, 1, name="right")(x)
    left, right = relu(norm(one(left))), norm(one(right))
    wide = relu(layers.Conv2D(32, 1, name="wide")(right))
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(layers.Concatenate()([left, wide])))


NETS = {
    "residual": (residual, (8, 8, 3)),
    "squeeze_excite": (squeeze_excite, (8, 8, 3)),
    "dense_block": (dense_block, (8, 8, 3)),
    "separable": (separable, (8, 8, 3)),
    "flatten_dense": (flatten_dense, (8, 8, 3)),
    "shared": (shared, (8, 8, 3)),
}
