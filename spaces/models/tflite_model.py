"""A float ``.tflite`` as the model: what was converted already can still be quantized, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.errors import ModelError
from litetuner.spaces.models.traced import Tensor, TracedModel
from litetuner.spaces.tflite.weights import IDENTIFIER, read_model

FLOAT32 = 0  # the schema's number of the type


def open_converted(path: Path) -> TracedModel:
    """The model in a float ``.tflite``, which keeps its bytes. Raises ``ModelError`` for other files."""
    from ai_edge_litert.interpreter import Interpreter

    content = path.read_bytes()
    if content[4:8] != IDENTIFIER:
        raise ModelError(
            f"{path} is no TensorFlow Lite file (its bytes 4 to 8 are not {IDENTIFIER.decode()}). Is it complete?"
        )
    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: the runtime does not load it: {str(error).strip().splitlines()[0]}") from error
    tensors = interpreter.get_tensor_details()
    small = [detail["name"] for detail in tensors if _is_small(detail)]
    if small:
        raise ModelError(
            f"{path} is quantized already (tensor {small[0]!r}), and compression starts from float32. Give the Keras model that "
            "it was made from, or its float .tflite."
        )
    signatures = list(interpreter._get_full_signature_list().values())
    sides = []
    for side, details in (("inputs", interpreter.get_input_details()), ("outputs", interpreter.get_output_details())):
        if len(details) > 1 and len(signatures) != 1:
            raise ModelError(
                f"{path} has {len(details)} {side} and no single signature that names them. Convert it again."
            )
        names = {index: name for name, index in signatures[0][side].items()} if len(signatures) == 1 else {}
        sides.append(tuple(_tensor(names.get(detail["index"], str(detail["name"])), detail) for detail in details))
    inputs, outputs = sides

    def call_flat(values: Sequence[Any]) -> list[Any]:
        rows = []
        for index in range(len(values[0])):
            for detail, value in zip(interpreter.get_input_details(), values, strict=True):
                interpreter.set_tensor(detail["index"], np.asarray(value[index : index + 1], detail["dtype"]))
            interpreter.invoke()
            rows.append([interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()])
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    why = (
        "it is a .tflite, converted already, so only post-training techniques are tried (ai-edge-quantizer's, sparse encoding, "
        "slimming); give the Keras model that it was made from to train it"
    )
    graph = read_model(content)
    full = {index for index, buffer in enumerate(graph.buffers) if buffer.data is not None and len(buffer.data)}
    constants = [tensor for tensor in graph.subgraphs[0].tensors if tensor.buffer in full and tensor.type == FLOAT32]
    parameters = sum(int(np.prod(tensor.shape)) for tensor in constants)
    return TracedModel(path.stem, inputs, outputs, call_flat, None, parameters, why, file=content)


def _tensor(name: str, detail: dict[str, Any]) -> Tensor:
    shape = [int(size) for size in detail["shape_signature"]]
    return Tensor(name, (None, *(None if size < 0 else size for size in shape[1:])), np.dtype(detail["dtype"]).name)


def _is_small(detail: dict[str, Any]) -> bool:
    """Has the tensor scales (one, or one a channel), or half-precision floats?"""
    return bool(len(detail["quantization_parameters"]["scales"])) or detail["dtype"] == np.float16
