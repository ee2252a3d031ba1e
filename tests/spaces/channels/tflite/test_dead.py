"""Filters without weights are removed from a float .tflite, and outputs stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.channels.tflite.dead import without_dead_channels
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.running import run

TINY = 1e-9
SAMPLES = np.random.default_rng(0).normal(size=(8, 9, 9, 3)).astype(np.float32)


def converted(body: Any, dead: dict[str, tuple[int, ...]], biases: dict[str, float]) -> bytes:
    """A file whose layers have filters of zeros or tiny weights at the positions ``dead``, with these biases there."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    tf_keras.utils.set_random_seed(4)
    image = tf_keras.layers.Input((9, 9, 3))
    model = tf_keras.Model(image, body(tf_keras.layers, image))
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            bias[:] = np.random.default_rng(1).normal(size=bias.size)
            axis = 2 if type(layer).__name__ in ("DepthwiseConv2D", "Conv2DTranspose") else kernel.ndim - 1
            for number, position in enumerate(dead.get(layer.name, ())):
                np.moveaxis(kernel, axis, 0)[position] = TINY * (number % 2)
                bias[position] = biases[layer.name]
            layer.set_weights([kernel, bias])
    return Float32().apply(model, None)  # type: ignore[arg-type]


def widths(file: bytes) -> list[int]:
    """Output channels of the convolutions and dense layers, in order."""
    return [
        operator.weight_shape[3 if operator.name == "DEPTHWISE_CONV_2D" else 0]
        for operator in read_operators(file)
        if operator.weight_shape
    ]


def check(file: bytes, expected: list[int]) -> None:
    found = without_dead_channels(file, SAMPLES)
    assert widths(found.file) == expected
    assert found.removed == sum(widths(file)) - sum(expected)
    assert found.filters == sum(widths(file))
    assert f"{found.removed} of {found.filters} filters removed" in found.note
    before, after = (np.concatenate(run(each, SAMPLES).values) for each in (file, found.file))
    assert np.abs(before - after).max() <= 1e-5 * np.abs(before).max()
    again = without_dead_channels(found.file, SAMPLES)
    assert again.removed == 0
    assert again.file == found.file


def plain(padding: str) -> Any:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(8, 3, activation="relu", name="first")(x)
        x = layers.Conv2D(6, 3, padding=padding, activation="relu", name="second")(x)
        return layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x))

    return body


def test_a_constant_goes_into_the_next_bias_where_nothing_is_padded() -> None:
    check(converted(plain("valid"), {"first": (1, 5), "second": (0,)}, {"first": 0.7, "second": 0.3}), [6, 5, 4])


def test_between_zeros_only_a_constant_of_zero_goes() -> None:
    dead = {"first": (1, 5), "second": (0,)}
    check(converted(plain("same"), dead, {"first": -0.7, "second": 0.3}), [6, 5, 4])  # ReLU makes it 0
    check(converted(plain("same"), dead, {"first": 0.7, "second": 0.3}), [8, 5, 4])


def test_sums_flattening_depthwise_and_transposed_convolutions() -> None:
    """A channel of a sum goes if all that is added is dead; what a depthwise filter reads goes along if nobody else does."""

    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(8, 3, padding="same", name="one")(x)
        y = layers.Conv2D(8, 3, padding="same", name="other")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
        x = layers.DepthwiseConv2D(3, padding="same", name="deep")(x)
        x = layers.Conv2D(8, 1, strides=2, activation="relu", name="point")(x)
        x = layers.Conv2DTranspose(4, 3, strides=2, activation="relu", name="up")(x)
        return layers.Dense(4, name="head")(layers.Flatten()(layers.MaxPooling2D()(x)))

    dead = {"one": (1, 2), "other": (2, 3), "deep": (5,), "point": (6,), "up": (3,)}
    biases = {"one": 0.0, "other": 0.0, "deep": 0.4, "point": -0.1, "up": 0.2}
    # Channel 2 of the sum goes, which "other" reads between zeros, too. 5 stays: "other" reads what "deep" does not.
    check(converted(body, dead, biases), [7, 7, 7, 7, 3, 4])


def test_one_channel_stays_where_all_are_dead() -> None:
    check(
        converted(plain("valid"), {"first": tuple(range(8))}, {"first": 0.5}), [1, 1, 4]
    )  # so the second's are constant, too


def test_a_file_without_dead_channels_stays(tflite: Any, samples: np.ndarray) -> None:
    file = tflite("plain", "float32")
    found = without_dead_channels(file, samples)
    assert found.file is file
    assert not found.note


def test_a_file_that_would_change_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from litetuner.spaces.channels.tflite import dead

    monkeypatch.setattr(dead, "LARGEST", 0.3)  # many filters count as dead that are not
    file = converted(plain("valid"), {}, {})
    found = without_dead_channels(file, SAMPLES)
    assert found.file == file
    assert "not removed" in found.note
