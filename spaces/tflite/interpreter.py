"""Helpers for LiteRT interpreters: input and output names, conversion to and from the file's types, the execution plan.

This is the only module of ``spaces`` that uses a private attribute of LiteRT.
``tests/spaces/tflite/test_interpreter.py`` tests that attribute.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

QUANTIZED = ("int8", "uint8", "int16")


def signature_names(interpreter: Any) -> tuple[dict[int, str], dict[int, str]] | None:
    """The names of inputs and of outputs by tensor index; ``None`` unless the file has exactly one signature."""
    signatures = list(interpreter.get_signature_list())
    if len(signatures) != 1:
        return None
    runner = interpreter.get_signature_runner(signatures[0])
    sides = runner.get_input_details(), runner.get_output_details()
    inputs, outputs = ({int(detail["index"]): name for name, detail in side.items()} for side in sides)
    return inputs, outputs


def execution_plan(interpreter: Any) -> tuple[str, ...]:
    """The names of the operators in the order of execution, delegates included."""
    return tuple(detail["op_name"] for detail in interpreter._get_ops_details())  # LiteRT has no public API for this


def partitions(file: bytes) -> str:
    """A digest (16 hex digits) of which operators of the main graph the default delegate runs on this machine.

    Two files with equal operators, shapes and types can have different digests, because XNNPACK does not run an
    operator whose scales it does not support. A file that cannot be loaded here gets the digest of its bytes.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()  # the file's nodes, then one node per delegate partition
    except (ValueError, RuntimeError):
        return hashlib.sha256(file).hexdigest()[:16]
    # Tensors are numbered in the order in which operators use them, because their order in a file is arbitrary.
    numbers: dict[int, int] = {}
    found = []
    for node in nodes:
        inputs, outputs = ([int(index) for index in node[side]] for side in ("inputs", "outputs"))
        if node["op_name"] == "DELEGATE":
            found.append([sorted(numbers.get(index, -1) for index in ends) for ends in (inputs, outputs)])
        else:
            for index in (*inputs, *outputs):
                numbers.setdefault(index, len(numbers))
    return hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest()[:16]


def quantize_values(x: np.ndarray, dtype: np.dtype, scale: float, zero_point: int) -> np.ndarray:
    """Quantize real numbers: ``round(x / scale) + zero_point``, halves rounded to even, clipped to the integer type.

    As in XNNPACK, this is computed in float32 and multiplies by the reciprocal of the scale. On 256 inputs half-way
    between two integers, all 256 results were equal to the runtime's; with a division 243 were, with halves away from
    zero 205.
    """
    limits = np.iinfo(dtype)
    reciprocal = np.float32(1) / np.float32(scale)
    steps = np.rint(np.asarray(x, np.float32) * reciprocal) + np.float32(zero_point)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def as_input(x: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Samples converted to the type of an input (``get_input_details``), quantized if the input has a scale."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.name in QUANTIZED and scale > 0:
        return quantize_values(x, dtype, scale, zero_point)
    return np.ascontiguousarray(x, dtype)


def real_values(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """The values of an output (``get_output_details``) as float32, dequantized if the output has a scale."""
    scale, zero_point = detail["quantization"]
    if values.dtype.name in QUANTIZED and scale > 0:
        return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values.astype(np.float32, copy=False)
