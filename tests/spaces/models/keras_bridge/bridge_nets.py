"""Keras 3 models of all kinds of layers, which the bridge rebuilds, and others that it refuses."""

from __future__ import annotations

import numpy as np


def sequential(keras, shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


def functional(keras, shape, build, dtype=None):
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, build(inputs))


def randomise(model, seed=0):
    """Batch normalizations start as the identity; give them something to do."""
    random = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if type(layer).__name__ == "BatchNormalization":
            size = layer.moving_mean.shape[0]
            layer.set_weights(
                [random.uniform(0.7, 1.3, size), *random.normal(0, 0.1, (2, size)), random.uniform(0.7, 1.3, size)]
            )
    return model


def convolutions(keras):
    layers = keras.layers
    return sequential(
        keras,
        (16, 16, 3),
        layers.Conv2D(8, 3, activation="leaky_relu"),
        layers.SeparableConv2D(6, 3, activation="hard_silu"),
        layers.Conv2DTranspose(4, 3, strides=2, output_padding=1),
        layers.LeakyReLU(0.1),
        layers.PReLU(shared_axes=[1, 2]),
        layers.GroupNormalization(2),
        layers.UpSampling2D(),
        layers.Cropping2D(2),
        layers.ZeroPadding2D(((1, 0), (0, 1))),
        layers.AveragePooling2D(2, padding="same"),
        layers.Conv2D(4, 3, groups=2),
        layers.GlobalMaxPooling2D(),
        layers.Dense(5, activation="gelu"),
        layers.Dense(4, activation="silu"),
        layers.Dense(3, activation="hard_sigmoid"),
        layers.Softmax(),
    )


def sequences(keras):
    layers = keras.layers
    return sequential(
        keras,
        (16, 4),
        layers.Conv1D(8, 3, padding="causal", activation="relu6"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(),
        layers.LSTM(6, return_sequences=True),
        layers.GRU(5, return_sequences=True),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum"),
        layers.TimeDistributed(layers.Dense(3)),
        layers.SimpleRNN(4),
    )


def attention(keras):
    layers = keras.layers

    def build(inputs):
        x = layers.LayerNormalization(epsilon=1e-6)(inputs)
        x = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x) + inputs
        return layers.Dense(2)(x[:, -1])

    return functional(keras, (6, 8), build)


def operators(keras):
    layers, ops = keras.layers, keras.ops

    def build(x):
        x = (3.0 - (x * 2.0 + 1.0)) / 4.0
        x = ops.mean(-x, axis=(1, 2), keepdims=True) * x
        x = ops.transpose(ops.reshape(x, (-1, 16, 3)), (0, 2, 1))
        x = ops.concatenate([x, ops.maximum(x, x * 0.5)], axis=-1)
        x = ops.squeeze(ops.expand_dims(ops.silu(x), 1), 1)
        x = ops.hard_silu(ops.square(x)) * np.linspace(0, 1, 32, dtype="float32")
        return layers.Dense(2)(layers.Flatten()(ops.relu6(x[:, 1:])))

    return functional(keras, (4, 4, 3), build)


def functions(keras):
    """Operators that no layer computes are functions of TensorFlow's."""
    layers, ops = keras.layers, keras.ops

    def build(x):
        left, right = ops.split(ops.sqrt(ops.abs(x) + 1.0), 2, axis=-1)
        x = left / (1.0 + ops.exp(right)) + ops.clip(left, -0.5, 0.5) - 1.0 / right
        x = x[:, 1:, ::2, -1:] * ops.sum(x, axis=[1, 2], keepdims=True) + ops.mean(x, axis=-1, keepdims=True)[:, :3, :4]
        x = ops.where(x > 0.5, x, 0.1 * x**2) - ops.std(x, axis=1, keepdims=True)
        x = ops.pad(x, [[0, 0], [1, 0], [0, 1], [0, 0]]) + ops.flip(ops.normalize(x[:, :1, :1]), axis=1)
        x = ops.concatenate([x, ops.tile(x, (1, 1, 1, 2)), ops.stack([x[..., 0], x[..., 1]], axis=-1)], axis=-1)
        x = ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))) + ops.gelu(ops.take(x, [0], axis=-1))
        x = ops.image.resize(x, (3, 3)) / ops.norm(x, axis=-1, keepdims=True)[:, :1, :1]
        return ops.log_softmax(layers.Dense(3, activation="celu")(layers.Flatten()(ops.maximum(x, 0.1))))

    return functional(keras, (4, 8, 8), build)


def transformer(keras):
    """Positions that were embedded while the model was built are a constant."""
    layers = keras.layers

    def build(x):
        x = x + layers.Embedding(6, 8)(keras.ops.arange(6))
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
        x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))
        return layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(x))

    return functional(keras, (6, 8), build)


def cells(keras):
    layers = keras.layers
    return sequential(
        keras,
        (6, 3),
        layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], return_sequences=True),
        layers.Bidirectional(layers.GRU(3, reset_after=False)),
        layers.SpectralNormalization(layers.Dense(2)),
    )


def masked(keras):
    layers = keras.layers
    return functional(
        keras, (12,), lambda x: layers.Dense(2)(layers.LSTM(5)(layers.Embedding(20, 6, mask_zero=True)(x))), "int32"
    )


def volumes(keras):
    layers = keras.layers
    return sequential(
        keras, (6, 6, 6, 2), layers.Conv3D(3, 3), layers.MaxPooling3D(), layers.Conv3DTranspose(2, 2), layers.Flatten()
    )


def refused_models(keras):
    layers = keras.layers

    class Mine(layers.Dense):
        pass

    def operator(x):
        return layers.Dense(2)(keras.ops.cumsum(x, axis=-1))

    recurrent = layers.LSTM(2, recurrent_activation="hard_sigmoid", name="culprit")
    regularized = layers.Dense(2, bias_regularizer=lambda x: 0.0, name="culprit")
    wrapper = layers.TimeDistributed(sequential(keras, (4,), layers.Dense(2)), name="culprit")
    return {
        "replace it with standard layers": sequential(keras, (4,), layers.Lambda(lambda x: x, name="culprit")),
        "custom layer": sequential(keras, (4,), Mine(2, name="culprit")),
        "RMSNormalization": sequential(keras, (4,), layers.RMSNormalization(name="culprit")),
        "'squareplus'": sequential(keras, (4,), layers.Dense(2, activation="squareplus", name="culprit")),
        "hard_sigmoid": sequential(keras, (4, 2), recurrent),
        "bias_regularizer": sequential(keras, (4,), regularized),
        "Cumsum": functional(keras, (4,), operator),
        "float64": sequential(keras, (4,), layers.Dense(2, dtype="float64", name="culprit")),
        "whole model": sequential(keras, (3, 4), wrapper),
    }
