"""What every user of a LiteRT interpreter needs: names of inputs and outputs, values in the file's types, the plan.

The only module of ``spaces`` that uses a private attribute of LiteRT; ``tests/spaces/tflite/test_interpreter.py`` checks it.
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
    """The operators in the order in which they run, delegates included."""
    return tuple(detail["op_name"] for detail in interpreter._get_ops_details())  # there is no public way


def partitions(file: bytes) -> str:
    """A short hex digest of which operators of the main graph the default delegate takes, on this machine.

    Two files of equal operators, shapes and types can differ in it: XNNPACK leaves an operator whose scales it does not accept.
    A file that cannot be loaded here has a digest of its own.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()  # the file's nodes, then one for each partition
    except (ValueError, RuntimeError):
        return hashlib.sha256(file).hexdigest()[:16]
    numbers: dict[int, int] = {}  # of tensors, as operators meet them: converters order them freely
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
    """Real numbers as integers of a type: ``round(x / scale) + zero_point``, halves to even, clipped to the type.

    In float32 and by the reciprocal of the scale, as XNNPACK does it: on inputs half-way between two integers this gave what
    the runtime gives in 256 of 256 cases, a division in 243, halves away from zero in 205.
    """
    limits = np.iinfo(dtype)
    reciprocal = np.float32(1) / np.float32(scale)
    steps = np.rint(np.asarray(x, np.float32) * reciprocal) + np.float32(zero_point)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def as_input(x: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Samples in the type of an input (``get_input_details``): quantized where it has a scale."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.name in QUANTIZED and scale > 0:
        return quantize_values(x, dtype, scale, zero_point)
    return np.ascontiguousarray(x, dtype)


def real_values(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """The values of an output (``get_output_details``) as float32; integers without a scale as they are."""
    scale, zero_point = detail["quantization"]
    if values.dtype.name in QUANTIZED and scale > 0:
        return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values.astype(np.float32, copy=False)
