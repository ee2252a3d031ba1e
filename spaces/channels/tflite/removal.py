"""Removes channels from a float ``.tflite``: the same operators with fewer channels and the remaining weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from litetuner.spaces.channels.tflite.tracing import FileChannels
from litetuner.spaces.tflite.schema import ints, pack_model, read_model, type_name
from litetuner.spaces.tflite.tensor_values import dense_values, store_values


def remove(file: bytes, channels: FileChannels, kept: np.ndarray) -> bytes:
    """The file with only the channels ``kept`` (by id, true or false) of its ``channels``.

    Operators and tensors keep their order and names.
    """
    model = read_model(file)
    graph = model.subgraphs[0]
    for index, numbers in channels.tensors.items():
        _resize(graph.tensors[index], -1, len(channels.remaining(numbers, kept)))
    for (operator, position), numbers in channels.shapes.items():
        _reshape(model, operator, position, len(channels.remaining(numbers, kept)))
    uses: dict[int, dict[tuple[int, int], dict[int, np.ndarray]]] = {}  # by tensor, then by operator and position
    for (operator, position, axis), numbers in channels.constants.items():
        tensor = ints(graph.operators[operator].inputs)[position]
        by_axis = uses.setdefault(tensor, {}).setdefault((operator, position), {})
        by_axis[axis] = channels.remaining(numbers, kept)
    for tensor, places in uses.items():
        _narrow(model, tensor, places)
    return pack_model(model)


def _narrow(model: Any, index: int, places: Mapping[tuple[int, int], Mapping[int, np.ndarray]]) -> None:
    """Keep the remaining part of a constant, by axis; operators that need different parts get separate constants."""
    graph = model.subgraphs[0]
    old = graph.tensors[index]
    values = dense_values(old, type_name(old.type), model.buffers[old.buffer].data)
    made: dict[bytes, int] = {}
    for (operator, position), remaining in places.items():
        part = values
        for axis, positions in remaining.items():
            part = np.take(part, positions, axis=axis)
        key = part.tobytes()
        if key not in made:
            made[key] = _new_constant(model, part, old) if made else index
            tensor = graph.tensors[made[key]]
            tensor.shape, tensor.shapeSignature, tensor.sparsity = list(part.shape), None, None
            store_values(model, tensor, part)
        _set_input(graph.operators[operator], position, made[key])


def _resize(tensor: Any, axis: int, size: int) -> None:
    for name in ("shape", "shapeSignature"):
        sizes = ints(getattr(tensor, name))
        if sizes and sizes[axis] != -1:
            sizes[axis] = size
            setattr(tensor, name, sizes)


def _reshape(model: Any, operator: int, position: int, width: int) -> None:
    """Give an operator its own constant shape with the last size ``width``; a last size of -1 (inferred) stays."""
    graph = model.subgraphs[0]
    node = graph.operators[operator]
    old = graph.tensors[ints(node.inputs)[position]]
    values = dense_values(old, type_name(old.type), model.buffers[old.buffer].data).copy()
    if values[-1] == -1:
        return
    values[-1] = width
    at = _new_constant(model, values, old)
    store_values(model, graph.tensors[at], values)
    _set_input(node, position, at)
    if getattr(node.builtinOptions, "newShape", None) is not None:
        node.builtinOptions.newShape = values.tolist()


def _new_constant(model: Any, values: np.ndarray, like: Any) -> int:
    """Append a tensor without data, of the type of ``like``, to the main subgraph, and return its index."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = f"constant_{len(tensors)}".encode(), list(values.shape), like.type
    tensors.append(tensor)
    return len(tensors) - 1


def _set_input(node: Any, position: int, tensor: int) -> None:
    """Replace the input of an operator at ``position`` by another tensor."""
    inputs = ints(node.inputs)
    inputs[position] = tensor
    node.inputs = inputs
