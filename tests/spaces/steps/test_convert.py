"""The conversions: weight and I/O types in the file, sizes, and accuracy beside the float model's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.step import Step
from litetuner.spaces.steps.dynamic import Dynamic
from litetuner.spaces.steps.float16 import Float16
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.int16x8 import Int16x8
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.weights import weights_by_layer

from .conftest import LAYERS


def io_types(file: bytes) -> tuple[str, str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=file)
    ends = (*interpreter.get_input_details(), *interpreter.get_output_details())
    return tuple(end["dtype"].__name__ for end in ends)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("step", "label", "weights", "io"),
    [
        (Float16(), "float16", "float16", "float32"),
        (Int8(), "int8", "int8", "float32"),
        (Int8(io="int8"), "int8", "int8", "int8"),
        (Int8(io="uint8"), "int8", "int8", "uint8"),
        (Int16x8(), "int16x8", "int8", "float32"),
        (Int16x8(io="int16"), "int16x8", "int8", "int16"),
    ],
)
def test_types_and_accuracy(
    step: Step,
    label: str,
    weights: str,
    io: str,
    model: Any,
    context: Context,
    accuracy: Callable[[Any], float],
) -> None:
    file = step.apply(model, context)
    assert step.label() == label
    assert {weight.dtype for weight in weights_by_layer(file, LAYERS).values()} == {weights}
    assert io_types(file) == (io, io)
    assert accuracy(file) > accuracy(model) - 0.03


def test_float32_is_the_model(model: Any, float_file: bytes, accuracy: Callable[[Any], float]) -> None:
    assert abs(accuracy(float_file) - accuracy(model)) < 0.02  # every fourth sample against all
    names = [operator.name for operator in read_operators(float_file)]
    assert names == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]


def test_dynamic_quantizes_large_kernels_only() -> None:
    from litetuner.spaces.tf import load

    load()
    import numpy as np
    import tf_keras

    source = tf_keras.layers.Input((64,))
    x = tf_keras.layers.Dense(32, name="large")(source)
    network = tf_keras.Model(source, tf_keras.layers.Dense(4, name="small")(x))
    empty = np.zeros((0,), np.float32)
    file = Dynamic().apply(network, Context(empty, empty, empty, loss="mse", batch_size=1, seed=0))
    types = {name: weight.dtype for name, weight in weights_by_layer(file, ["large", "small"]).items()}
    assert types == {"large": "int8", "small": "float32"}


@pytest.mark.parametrize("step", [Int8(), Int16x8()])
def test_integers_need_calibration(step: Step, model: Any, context: Context) -> None:
    with pytest.raises(Refused, match="calibration samples"):
        step.apply(model, dataclasses.replace(context, calibration=context.calibration[:0]))


def test_unknown_io_is_refused() -> None:
    with pytest.raises(Refused, match="did you mean 'int8'"):
        Int8(io="int88")
    with pytest.raises(Refused, match="float32, int16"):
        Int16x8(io="x")
