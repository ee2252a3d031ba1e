"""The Keras layers that the statistics of a float file are of."""

from __future__ import annotations

from typing import Any

import pytest

from litetuner.spaces.building.measure_layers import with_keras_layers
from litetuner.spaces.info import LayerInfo
from litetuner.spaces.reconstruction.allocation.statistics import LayerStatistics, Statistics
from litetuner.spaces.tflite.conversion import convert
from litetuner.spaces.tflite.operators import names_of_layers, read_operators

LAYERS = {"first": (3, 3, 1, 4), "middle": (3, 3, 4, 4), "last": (3, 3, 4, 4), "answer": (16, 3)}


@pytest.fixture(scope="module")
def file() -> Any:
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = [tf_keras.Input((6, 6, 1))]
    for name in list(LAYERS)[:3]:
        layers += [tf_keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name=name)]
        layers += [tf_keras.layers.BatchNormalization(), tf_keras.layers.ReLU()]
    layers += [tf_keras.layers.MaxPool2D(3), tf_keras.layers.Flatten(), tf_keras.layers.Dense(3, name="answer")]
    return convert(tf_keras.Sequential(layers), lambda converter, tf: None)


def test_operators_whose_names_say_something_else_are_known_by_their_layers(file: bytes) -> None:
    found = Statistics(
        tuple(LayerStatistics(name, "", (), True, (), (), 0.1) for name in names_of_layers(read_operators(file)))
    )
    assert not {layer.name for layer in found.layers} & LAYERS.keys()
    described = [LayerInfo(name, "", 0, shape, (), {}) for name, shape in LAYERS.items()]
    assert [each.keras_layer for each in with_keras_layers(found, file, described).layers] == list(LAYERS)
    without = with_keras_layers(found, file, described[1:])
    assert [each.keras_layer for each in without.layers] == ["", *list(LAYERS)[1:]], "none is better than a wrong one"
