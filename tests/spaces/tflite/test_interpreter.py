"""LiteRT's interpreter as ``spaces/tflite/interpreter.py`` uses it: the private name exists, and names belong to tensors."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.tf import load
from litetuner.spaces.tflite.conversion import convert
from litetuner.spaces.tflite.interpreter import as_input, execution_plan, quantize_values, real_values, signature_names


@pytest.fixture(scope="module")
def interpreter() -> Any:
    load()
    import tf_keras
    from ai_edge_litert.interpreter import Interpreter

    left, right = tf_keras.Input((3,), name="left"), tf_keras.Input((2,), name="right")
    outputs = [tf_keras.layers.Dense(2, name="wide")(left), tf_keras.layers.Dense(1, name="narrow")(right)]
    file = convert(tf_keras.Model([left, right], outputs), lambda converter, tf: None)
    found = Interpreter(model_content=file, num_threads=1)
    found.allocate_tensors()
    return found


def test_private_name_and_version(interpreter: Any) -> None:
    assert importlib.metadata.version("ai-edge-litert") == "2.3.0", (
        "look at interpreter.py before you raise the version"
    )
    assert set(execution_plan(interpreter)) >= {"DELEGATE"}


def test_names_belong_to_tensors(interpreter: Any) -> None:
    found = signature_names(interpreter)
    assert found is not None
    sizes = [
        {names[detail["index"]]: int(detail["shape"][-1]) for detail in details}
        for names, details in zip(
            found, (interpreter.get_input_details(), interpreter.get_output_details()), strict=True
        )
    ]
    assert sizes == [{"left": 3, "right": 2}, {"wide": 2, "narrow": 1}]


def test_values_are_rounded_and_clipped() -> None:
    x = np.array([-100.0, -0.5, 0.25, 0.75, 1.0, 100.0], np.float32)
    detail = {"dtype": np.int8, "quantization": (0.5, 1)}
    found = as_input(x, detail)
    assert found.tolist() == [-128, 0, 1, 3, 3, 127] and found.dtype == np.int8
    assert np.array_equal(found, quantize_values(x, np.dtype(np.int8), 0.5, 1))
    assert np.allclose(real_values(found, detail), [-64.5, -0.5, 0, 1, 1, 63])
    assert as_input(x, {"dtype": np.int32, "quantization": (0.0, 0)}).dtype == np.int32
