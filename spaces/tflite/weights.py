"""The weights of the user's layers in a ``.tflite``: stored values, types and scales. TensorFlow is not needed."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.layer_names import NamedOperator, operators_of_layers
from litetuner.spaces.tflite.operators import Operator, names_of_layers, operators_of
from litetuner.spaces.tflite.schema import as_list, read_model, rejects_damage, text, type_name
from litetuner.spaces.tflite.tensor_values import dense_values
from litetuner.spaces.tflite.weight_operators import WEIGHT_OPERATORS


@dataclasses.dataclass(frozen=True)
class Weight:
    """The weight tensor of one layer as the file stores it.

    ``values`` are the stored integers (int4 is unpacked) or floats, in the shape of the file; sparse tensors are dense
    here. ``scale`` and ``zero_point`` have one entry per tensor or one per channel, and are empty for float weights.
    With blockwise quantization, ``scale`` has the shape (channels, blocks). ``channel_axis`` is the quantized
    dimension, or the operator's output-channel axis without per-channel quantization. ``activation_dtype`` is the type
    of the operator's activation input.
    """

    tensor_index: int
    values: np.ndarray
    dtype: str
    scale: np.ndarray
    zero_point: np.ndarray
    channel_axis: int
    operator: str
    operator_index: int
    activation_dtype: str = ""

    @property
    def granularities(self) -> tuple[str, ...]:
        """The quantization granularity: ``tensor``, ``channel`` or, for example, ``block32``; empty for float weights.

        A tensor with a single channel has both ``tensor`` and ``channel``.
        """
        if self.scale.ndim > 1:
            return (f"block{self.values.shape[-1] // self.scale.shape[-1]}",)
        if self.scale.size == 0:
            return ()
        one_channel = self.values.shape[self.channel_axis] == 1
        return ("tensor", "channel") if one_channel else ("tensor",) if self.scale.size == 1 else ("channel",)


@rejects_damage
def weights_by_layer(
    file: bytes, layer_names: Sequence[str], kernel_shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Weight]:
    """The weights of the user's Keras layers in a freshly converted file, which still has its tensor names.

    ``layer_names`` must be all layers with weights, in the model's order: in a Keras 3 export, ``conv2d_1`` can be the
    layer ``conv2d``, which only a comparison with the other layers shows. Names are matched by whole path components.
    With ``kernel_shapes`` (Keras order, as in ``LayerInfo``), weights that no name identifies are assigned by order and
    shape if only one assignment is possible. For a layer with several weights (separable convolutions), the largest is
    returned. Layers that cannot be identified with certainty are omitted. Raises ``BuildFailed`` for an unreadable
    file.
    """
    model = read_model(file)
    graph = model.subgraphs[0]
    weighted = [operator for operator in operators_of(model) if operator.weight_index is not None]
    named = [
        NamedOperator(
            index=operator.index,
            names=(text(graph.tensors[operator.weight_index].name), operator.output_name),
            shape=operator.weight_shape or (),
            storage=int(graph.tensors[operator.weight_index].buffer),
        )
        for operator in weighted
    ]
    by_index = {operator.index: operator for operator in weighted}
    whole = _by_whole_name(weighted, layer_names)
    found = whole or operators_of_layers(named, layer_names, kernel_shapes or {})
    return {layer: _weight(model, by_index[index]) for layer, index in found.items()}


def _by_whole_name(operators: Sequence[Operator], layer_names: Sequence[str]) -> dict[str, int]:
    """Layer -> operator index if all layers are named like operators (models without Keras layers), else empty."""
    known = names_of_layers(operators)
    return {name: known[name] for name in layer_names} if all(name in known for name in layer_names) else {}


@rejects_damage
def weights_at(file: bytes, tensors: Mapping[str, int]) -> dict[str, Weight]:
    """The weights of layers by tensor index (``Weight.tensor_index``). Slimming removes names but keeps these indices.

    Raises ``BuildFailed`` if no operator of the file uses one of these tensors as its weight.
    """
    model = read_model(file)
    users: dict[int, Operator] = {}
    for operator in operators_of(model):
        if operator.weight_index is not None:
            users.setdefault(operator.weight_index, operator)
    lost = [f"{layer} (tensor {index})" for layer, index in tensors.items() if index not in users]
    if lost:
        raise BuildFailed(f"no operator of the file has these as its weights any more: {', '.join(lost)}")
    return {layer: _weight(model, users[index]) for layer, index in tensors.items()}


@rejects_damage
def weights_of_operators(file: bytes, indices: Sequence[int]) -> dict[int, Weight]:
    """The weights of operators by index (``Operator.index``). Raises ``BuildFailed`` if one has no constant weights."""
    model = read_model(file)
    found = {op.index: op for op in operators_of(model) if op.weight_index is not None}
    lost = [str(index) for index in indices if index not in found]
    if lost:
        raise BuildFailed(f"operators {', '.join(lost)} of the file have no constant weights")
    return {index: _weight(model, found[index]) for index in indices}


def _weight(model: Any, operator: Operator) -> Weight:
    graph = model.subgraphs[0]
    index = operator.weight_index
    tensor = graph.tensors[index]
    values = dense_values(tensor, type_name(tensor.type), model.buffers[tensor.buffer].data)
    scale, zero_point = _quantization(model, graph, tensor)
    axis = WEIGHT_OPERATORS[operator.name].output_axis % max(values.ndim, 1)
    if operator.name == "BATCH_MATMUL" and graph.operators[operator.index].builtinOptions.adjY:
        axis = values.ndim - 2
    if scale.ndim == 1 and scale.size > 1:
        axis = int(tensor.quantization.quantizedDimension)
    return Weight(
        tensor_index=int(index or 0),
        values=values,
        dtype=type_name(tensor.type),
        scale=scale,
        zero_point=zero_point,
        channel_axis=axis,
        operator=operator.name,
        operator_index=operator.index,
        activation_dtype=operator.activation_dtype or "",
    )


def _quantization(model: Any, graph: Any, tensor: Any) -> tuple[np.ndarray, np.ndarray]:
    quantization = tensor.quantization
    if quantization is None:
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    details = quantization.details
    if details is not None and hasattr(details, "blockSize"):
        return _table(model, graph, details.scales, np.float32), _table(model, graph, details.zeroPoints, np.int64)
    scale = np.asarray(as_list(quantization.scale), np.float32)
    return scale, np.asarray(as_list(quantization.zeroPoint), np.int64)


def _table(model: Any, graph: Any, index: int, dtype: type) -> np.ndarray:
    """The values of a constant tensor with scales or zero points; empty for index -1 or a tensor without data."""
    data = model.buffers[graph.tensors[index].buffer].data if index >= 0 else None
    if data is None:
        return np.zeros(0, dtype)
    tensor = graph.tensors[index]
    return dense_values(tensor, type_name(tensor.type), data).astype(dtype)
