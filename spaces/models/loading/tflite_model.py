"""A float ``.tflite`` as the user's model: it can only be compressed after training, without Keras layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed, ModelError
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.models.loading.traced import TracedModel
from litetuner.spaces.tflite.interpreter import signature_names
from litetuner.spaces.tflite.schema import IDENTIFIER, element_count, read_model, type_name


def check_identifier(path: Path) -> None:
    """Raise ``ModelError`` for a file that is not a ``.tflite``."""
    with path.open("rb") as file:
        if file.read(8)[4:8] != IDENTIFIER:
            raise ModelError(
                f"{path} is not a TensorFlow Lite file (its bytes 4 to 8 are not {IDENTIFIER.decode()}). Is it complete?"
            )


def open_converted(path: Path) -> TracedModel:
    """The model in a float ``.tflite``; it keeps the bytes of the file. Raises ``ModelError`` for other files."""
    from ai_edge_litert.interpreter import Interpreter

    check_identifier(path)
    content = path.read_bytes()
    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        details = interpreter.get_tensor_details()
        small = [  # tensors with scales (one, or one per channel), or with half-precision floats
            detail["name"]
            for detail in details
            if len(detail["quantization_parameters"]["scales"]) or detail["dtype"] == np.float16
        ]
        if small:
            raise ModelError(
                f"{path} is quantized already (tensor {small[0]!r}), and compression starts from float32. Give the Keras "
                "model that it was made from, or its float .tflite."
            )
        inputs, outputs = _tensors_by_side(interpreter, path)
        parameters = _parameters(content)
    except BuildFailed as error:
        raise ModelError(f"{path}: {error}") from error
    except (ValueError, RuntimeError) as error:  # also for names that are not UTF-8
        raise ModelError(f"{path}: the runtime does not load it: {str(error).strip().splitlines()[0]}") from error

    def call_flat(values: Sequence[Any]) -> list[Any]:
        rows = []
        for index in range(len(values[0])):
            for detail, value in zip(interpreter.get_input_details(), values, strict=True):
                interpreter.set_tensor(detail["index"], np.asarray(value[index : index + 1], detail["dtype"]))
            interpreter.invoke()
            rows.append([interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()])
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    why = (
        "it is a .tflite, converted already, so only post-training techniques are tried (litert-quantizer's, sparse encoding, "
        "slimming); give the Keras model that it was made from to train it"
    )
    return TracedModel(path.stem, inputs, outputs, call_flat, None, parameters, why, file=content)


def _tensors_by_side(interpreter: Any, path: Path) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """The inputs and the outputs, named by the signature if there is one."""
    details = interpreter.get_input_details(), interpreter.get_output_details()
    names = signature_names(interpreter)
    for side, found in zip(("inputs", "outputs"), details, strict=True):
        if len(found) > 1 and names is None:
            raise ModelError(
                f"{path} has {len(found)} {side} and no single signature that names them. Convert it again."
            )
    inputs, outputs = (
        tuple(_tensor(known.get(detail["index"], str(detail["name"])), detail) for detail in found)
        for known, found in zip(names or ({}, {}), details, strict=True)
    )
    return inputs, outputs


def _parameters(content: bytes) -> int:
    """The number of float32 constants in the file."""
    model = read_model(content)
    full = {index for index, buffer in enumerate(model.buffers) if buffer.data is not None and len(buffer.data)}
    constants = [tensor for tensor in model.subgraphs[0].tensors if tensor.buffer in full]
    return sum(element_count(tensor) for tensor in constants if type_name(tensor.type) == "float32")


def _tensor(name: str, detail: dict[str, Any]) -> TensorInfo:
    shape = [int(size) for size in detail["shape_signature"]]
    return TensorInfo(name, (None, *(None if size < 0 else size for size in shape[1:])), np.dtype(detail["dtype"]).name)
