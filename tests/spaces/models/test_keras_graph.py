"""Private names of Keras and tf_keras that ``keras_graph`` uses: each must still exist, and mean what it meant."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from litetuner.spaces.models import keras_graph as graph
from litetuner.spaces.tf import load

VERSIONS = {"keras": "3.15", "tf_keras": "2.21"}  # checked with these; look at the module before you raise one


def test_versions() -> None:
    for package, version in VERSIONS.items():
        assert importlib.metadata.version(package).startswith(version + "."), package


def libraries() -> list[Any]:
    load()
    import keras
    import tf_keras

    return [keras, tf_keras]


@pytest.mark.parametrize("index", [0, 1])
def test_private_names_exist_and_give_the_graph(index: int) -> None:
    library = libraries()[index]
    layers = library.layers
    x = library.Input((4,), name="x")
    hidden = layers.Dense(3, name="hidden")
    inner = library.Sequential([library.Input((3,)), layers.Dense(2, name="inner")], name="nested")
    model = library.Model(x, layers.Softmax(name="softmax")(inner(hidden(x))))
    sequential = library.Sequential([library.Input((4,)), layers.Dense(2, name="only")])

    assert [graph.layer_of(node).name for node in graph.nodes(model)] == ["hidden", "nested", "softmax"]
    assert next(graph.layer_of(node).name for node in graph.nodes(model, latest_first=True)) == "softmax"
    assert graph.last_layer(model).name == "softmax" and graph.last_layer(sequential).name == "only"
    assert graph.layer_before(graph.last_layer(model)).name == "inner"
    assert graph.maker(x).name == "x" and len(graph.calls_of(hidden)) == 1
    (call,) = graph.calls_of(hidden)
    assert tuple(graph.first_input(call).shape) == (None, 4) and tuple(graph.first_output(call).shape) == (None, 3)
    assert {"hidden", "inner", "softmax"} <= {layer.name for layer in graph.all_layers(model)}
    assert graph.has_graph(model) and graph.has_graph(sequential) and not graph.has_graph(library.Sequential())


def test_names_are_counted_anew() -> None:
    for library in libraries():
        graph.reset_layer_names()
        names = [library.layers.Dense(1).name]
        graph.reset_layer_names()
        assert [library.layers.Dense(1).name] == names == ["dense"]


def test_operators_and_function_layers() -> None:
    keras, tf_keras = libraries()
    assert graph.is_operator_class("GetItem") and not graph.is_operator_class("NoSuchOperator")
    assert issubclass(graph.function_layer_class(), tf_keras.layers.Layer)
    assert not graph.is_functional(keras.Sequential())
