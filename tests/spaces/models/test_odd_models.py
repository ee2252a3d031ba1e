"""Odd but real models: each is rebuilt or refused in one sentence, and its float file computes what Keras computes (1e-4)."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.objectives.scoring.predict import predict
from litetuner.spaces.building.trainable import rebuild
from litetuner.spaces.models.signature import input_ports
from litetuner.spaces.models.signature import predict as original
from litetuner.spaces.tf import load
from litetuner.spaces.tflite.conversion import convert


@pytest.fixture(scope="module")
def keras():
    load()
    import keras

    return keras


# name -> (input shape, layers of a Sequential as source text); K is keras.layers
SEQUENTIAL = {
    "conv1d": (
        (32, 4),
        "K.Conv1D(8, 3, activation='relu'), K.BatchNormalization(), K.GlobalMaxPooling1D(), K.Dense(3)",
    ),
    "causal": ((16, 4), "K.Conv1D(8, 3, dilation_rate=2, padding='causal'), K.SeparableConv1D(4, 3), K.Flatten()"),
    "transposed 1d": ((8, 4), "K.Conv1DTranspose(8, 3, strides=2), K.UpSampling1D(2), K.Flatten(), K.Dense(2)"),
    "lstm": ((8, 4), "K.LSTM(6), K.Dense(3, activation='softmax')"),
    "gru": ((8, 4), "K.GRU(6), K.Dense(3, activation='softmax')"),
    "gru of Keras 1": ((8, 4), "K.GRU(4, reset_after=False), K.Dense(3)"),
    "both ways": ((8, 4), "K.Bidirectional(K.LSTM(6, return_sequences=True)), K.Bidirectional(K.GRU(4)), K.Dense(3)"),
    "unrolled backwards": ((6, 4), "K.LSTM(4, go_backwards=True, unroll=True), K.Dense(3)"),
    "cells": ((6, 4), "K.RNN([K.GRUCell(4), K.GRUCell(3)]), K.Dense(2)"),
    "steps": ((4, 8, 8, 3), "K.TimeDistributed(K.Conv2D(4, 3)), K.TimeDistributed(K.Flatten()), K.SimpleRNN(3)"),
    "preprocessing": ((16, 16, 3), "K.Resizing(8, 8), K.Rescaling(1 / 255.0), K.Conv2D(4, 3), K.Flatten(), K.Dense(2)"),
    "normalization": ((6,), "K.Normalization(mean=[0.5] * 6, variance=[2.0] * 6), K.Dense(2)"),
    "augmentation": (
        (12, 12, 3),
        "K.RandomFlip(), K.RandomRotation(0.1), K.RandomErasing(), K.Conv2D(4, 3), K.Flatten()",
    ),
    "groups": ((8, 8, 8), "K.Conv2D(8, 3, groups=4), K.Conv2D(8, 3, dilation_rate=2), K.Flatten(), K.Dense(2)"),
    "depthwise": ((8, 8, 3), "K.DepthwiseConv2D(3, depth_multiplier=2), K.SeparableConv2D(4, 3), K.Flatten()"),
    "volume": ((6, 6, 6, 2), "K.Conv3D(4, 3, activation='relu'), K.SpatialDropout3D(0.1), K.GlobalAveragePooling3D()"),
    "odd activations": (
        (8,),
        "K.Dense(4, activation='celu'), K.Dense(4, activation='hard_tanh'), K.Dense(4, activation='mish')",
    ),
    "prelu": ((8, 8, 3), "K.Conv2D(4, 3), K.PReLU(), K.SpatialDropout2D(0.1), K.Flatten(), K.UnitNormalization()"),
    "logits": ((8,), "K.Dense(4, activation='relu'), K.Dense(3)"),
    "one sigmoid": ((8,), "K.Dense(4, activation='relu'), K.Dense(1, activation='sigmoid')"),
    "many labels": ((8,), "K.Dense(5, activation='sigmoid')"),
    "group norm": ((8, 8, 8), "K.GroupNormalization(4), K.Flatten(), K.Dense(2)"),
    "layer norm": ((8, 8, 3), "K.LayerNormalization(axis=[1, 2, 3]), K.Flatten(), K.Dense(2)"),
    "spectral norm": ((8, 8, 3), "K.SpectralNormalization(K.Conv2D(4, 3)), K.Flatten(), K.Dense(2)"),
    "transposed": (
        (4, 4, 3),
        "K.UpSampling2D(2, interpolation='bilinear'), K.Conv2DTranspose(3, 3, strides=2), K.Flatten()",
    ),
    "masking": ((6, 3), "K.Masking(), K.LSTM(4), K.Dense(2)"),
    "noise": ((6, 3), "K.GaussianNoise(0.1), K.AlphaDropout(0.1), K.Flatten(), K.Dense(2)"),
    "einsum": ((6, 8), "K.EinsumDense('abc,cd->abd', output_shape=(6, 4), bias_axes='d'), K.Flatten(), K.Dense(2)"),
    "permute": ((4,), "K.RepeatVector(3), K.Permute((2, 1)), K.Flatten(), K.Dense(2)"),
    "rms norm": ((8,), "K.Dense(4), K.RMSNormalization(), K.Dense(2)"),
    "central crop": ((16, 16, 3), "K.CenterCrop(8, 8), K.Flatten(), K.Dense(2)"),
    "channels first": ((3, 8, 8), "K.Conv2D(4, 3, data_format='channels_first'), K.Flatten(), K.Dense(2)"),
}
# name -> (input shape, an expression of x); K is keras.layers, O keras.ops
FUNCTIONAL = {
    "operators": ((4, 4, 3), "K.Flatten()(O.sqrt(O.abs(x) + 1.0) * O.exp(-x) + O.clip(x, -1, 1) - O.sin(x) / 2)"),
    "splits": ((4, 4, 4), "K.Flatten()((lambda s: s[0] * s[1])(O.split(x, 2, axis=-1)))"),
    "slices": ((4, 4, 4), "K.Flatten()(x[:, 1:, ::2, :2])"),
    "sums": ((4, 4, 3), "K.Dense(2)(O.sum(x, axis=[1, 2])) + K.Dense(2)(O.max(x, axis=(1, 2)))"),
    "matmul": ((4, 4), "K.Flatten()(O.matmul(x, O.transpose(x, (0, 2, 1))))"),
    "division": ((4,), "K.Dense(2)(x / (1.0 + O.abs(x)))"),
    "padding": ((4, 4, 3), "K.Conv2D(2, 3)(O.pad(x, [[0, 0], [1, 1], [0, 1], [0, 0]]))"),
    "where": ((4,), "K.Dense(2)(O.where(x > 0, x, 0.1 * x))"),
    "unit norm": ((4,), "K.Dense(2)(x / O.norm(x, axis=-1, keepdims=True))"),
    "squeeze and excite": (
        (8, 8, 8),
        "K.Flatten()(x * K.Dense(8, activation='sigmoid')(K.GlobalAveragePooling2D(keepdims=True)(x)))",
    ),
    "attention": ((6, 8), "K.Dense(2)(K.Flatten()(K.Attention()([x, x])))"),
    "heads": ((6, 8), "K.Dense(2)(K.Flatten()(K.MultiHeadAttention(2, 4)(x, x) + K.Embedding(6, 8)(O.arange(6))))"),
    "states": ((6, 4), "K.Dense(2)(K.Concatenate()(K.LSTM(4, return_state=True)(x)))"),
    "dot": ((4,), "K.Dot(axes=1, normalize=True)([K.Dense(3)(x), K.Dense(3)(x)])"),
    "tanh gelu": ((4,), "K.Dense(2)(O.gelu(K.Dense(4)(x)))"),
    "mean over channels": ((4, 4, 3), "K.Flatten()(x - O.mean(x, axis=-1, keepdims=True))"),
    "pixel shuffle": ((4, 4, 8), "K.Flatten()(O.transpose(O.reshape(x, (-1, 4, 4, 2, 2, 2)), (0, 1, 3, 2, 4, 5)))"),
    "spectrum": ((512,), "K.Flatten()(K.MelSpectrogram(fft_length=128, sequence_stride=64, num_mel_bins=8)(x))"),
    "einsum of two": ((4, 4), "K.Flatten()(O.einsum('abc,acd->abd', x, x))"),
}
NOT_TRAINED = {"rms norm", "spectrum", "einsum of two"}


def build(keras, name):
    names = {"K": keras.layers, "O": keras.ops}
    if name in SEQUENTIAL:
        shape, text = SEQUENTIAL[name]
        return keras.Sequential([keras.Input(shape), *eval(f"[{text}]", names)])  # our own text, not a user's
    shape, text = FUNCTIONAL[name]
    inputs = keras.Input(shape)
    return keras.Model(inputs, eval(text, names | {"x": inputs}))


def check(keras, name):
    model = build(keras, name)
    x = np.random.default_rng(0).uniform(0, 1, (3, *input_ports(model)[0].shape[1:])).astype("float32")
    copy, refusal, difference = rebuild(model, x)
    if name in NOT_TRAINED:
        assert copy is None and refusal.endswith("Post-training quantization still works.") and "\n" not in refusal
    else:
        assert refusal is None and difference <= 1e-5, refusal
    (expected,) = original(model, [x])
    given = predict(convert(copy or model, lambda converter, tf: None), x)
    assert np.abs(given - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", ["augmentation", "lstm", "heads", "rms norm"])
def test_a_few(keras, name):
    check(keras, name)


@pytest.mark.zoo
@pytest.mark.parametrize("name", [*SEQUENTIAL, *FUNCTIONAL])
def test_all(keras, name):
    check(keras, name)
