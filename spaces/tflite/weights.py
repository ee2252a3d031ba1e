"""A ``.tflite`` read back: its operators, and the weights of the user's layers. No TensorFlow needed.

Only the main subgraph is read: that is where the converters put the layers of a Keras model.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.layer_names import Named, operators_of_layers
from litetuner.spaces.tflite.tensor_values import dense_values
from litetuner.spaces.tflite.weight_operators import WEIGHT_OPERATORS

IDENTIFIER = b"TFL3"

_BEHIND = ("DEQUANTIZE", "DENSIFY")  # what may stand between a constant weight and its operator


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator of the main subgraph, in the order of execution. Custom and Flex operators carry their own name.

    ``weight_index`` is the constant that holds the weights, found behind a DEQUANTIZE (float16) or DENSIFY (sparse)
    where there is one; it and what follows it is ``None`` for operators without constant weights.
    """

    index: int
    name: str
    custom: bool
    output_name: str
    input_index: int | None
    activation_dtype: str | None
    weight_index: int | None = None
    weight_dtype: str | None = None
    weight_shape: tuple[int, ...] | None = None
    input_rank: int | None = None

    @property
    def flex(self) -> bool:
        """Does it need TensorFlow's Flex delegate?"""
        return self.custom and self.name.startswith("Flex")


@dataclasses.dataclass(frozen=True)
class Weight:
    """The weight tensor of one layer as the file stores it.

    ``values`` are the stored integers (int4 one value each, shape as in the file) or floats; a sparse tensor is given dense.
    ``scale`` and ``zero_point`` have one entry a tensor or one a channel, and are empty for float weights; blockwise
    quantization gives its table of scales (channels, blocks). ``channel_axis`` is the quantized dimension, or the
    operator's output-channel axis where there is no quantization by channel. ``activation_dtype`` is the type of what the
    operator computes on.
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
        """What shares a scale: ``tensor``, ``channel`` or ``block32`` and so on; both of the first for a single channel."""
        if self.scale.ndim > 1:
            return (f"block{self.values.shape[-1] // self.scale.shape[-1]}",)
        if self.scale.size == 0:
            return ()
        one_channel = self.values.shape[self.channel_axis] == 1
        return ("tensor", "channel") if one_channel else ("tensor",) if self.scale.size == 1 else ("channel",)


def read_model(file: bytes) -> Any:
    """The file as the schema's object model (``ModelT``). Raises ``BuildFailed`` for what is no readable ``.tflite``."""
    from ai_edge_litert.tools import flatbuffer_utils

    if len(file) < 8:
        raise BuildFailed(f"the .tflite has {len(file)} bytes: the conversion wrote nothing. Look at its log.")
    if file[4:8] != IDENTIFIER:
        raise BuildFailed(f"this is no .tflite: bytes 4 to 8 are {file[4:8]!r}, expected {IDENTIFIER!r}")
    try:
        model = flatbuffer_utils.read_model_from_bytearray(bytes(file))
        _as_arrays(model)
        complete = bool(model.subgraphs) and all(
            graph.tensors is not None and graph.operators is not None for graph in model.subgraphs
        )
    except (struct.error, ValueError, TypeError, IndexError, AttributeError, OverflowError, MemoryError) as error:
        raise BuildFailed(f"the .tflite of {len(file)} bytes is torn or damaged: {error}. Convert it again.") from error
    if not complete:
        raise BuildFailed("the .tflite holds no graph: the model is empty, or the file is damaged. Convert it again.")
    return model


def _as_arrays(model: Any) -> None:
    """Bytes that lie outside the flatbuffer (litert-quantizer writes some files so) come as ``bytes``: arrays like the rest."""
    for buffer in model.buffers or []:
        if isinstance(buffer.data, bytes):
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    for graph in model.subgraphs or []:
        for operator in graph.operators or []:
            if isinstance(operator.customOptions, bytes):
                operator.customOptions = np.frombuffer(operator.customOptions, np.uint8)


@functools.cache
def _names(enum: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(getattr(schema, enum)).items() if isinstance(value, int)}


def type_name(tensor_type: int) -> str:
    """``int8``, ``int4``, ``float32`` and so on."""
    return _names("TensorType").get(tensor_type, f"type{tensor_type}").lower()


def operator_name(code: Any) -> tuple[str, bool]:
    """Name of an operator code and whether it is a custom one, which is then the custom name."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _names("BuiltinOperator").get(number, f"BUILTIN_{number}")
    if name == "CUSTOM":
        return (code.customCode or b"unnamed").decode(errors="replace"), True
    return name, False


def text(name: bytes | str | None) -> str:
    """A name of the flatbuffer; absent is empty."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""


def read_operators(file: bytes) -> list[Operator]:
    """The operators of the main subgraph, in the order of execution. Raises ``BuildFailed`` for an unreadable file."""
    return _operators(read_model(file))


def _operators(model: Any) -> list[Operator]:
    graph = model.subgraphs[0]
    names = [operator_name(code) for code in model.operatorCodes or []]
    producer = {index: operator for operator in graph.operators for index in _list(operator.outputs)}

    def constant(index: int) -> int | None:
        while index in producer:
            operator = producer[index]
            if names[operator.opcodeIndex][0] not in _BEHIND:
                return None
            index = operator.inputs[0]
        tensor = graph.tensors[index] if index >= 0 else None
        if tensor is None or model.buffers[tensor.buffer].data is None or len(_list(tensor.shape)) < 2:
            return None
        return index

    found = []
    for index, operator in enumerate(graph.operators):
        name, custom = names[operator.opcodeIndex]
        inputs, outputs = _list(operator.inputs), _list(operator.outputs)
        holds = None if custom else WEIGHT_OPERATORS.get(name)
        position = 0 if holds is None else holds.activation_input
        source = inputs[position] if position < len(inputs) and inputs[position] >= 0 else None
        at = len(inputs) if holds is None else holds.weight_input
        weight = constant(inputs[at]) if at < len(inputs) else None
        tensor = None if weight is None else graph.tensors[weight]
        found.append(
            Operator(
                index=index,
                name=name,
                custom=custom,
                output_name=text(graph.tensors[outputs[0]].name) if outputs else "",
                input_index=source,
                activation_dtype=None if source is None else type_name(graph.tensors[source].type),
                weight_index=weight,
                weight_dtype=None if tensor is None else type_name(tensor.type),
                weight_shape=None if tensor is None else tuple(int(size) for size in _list(tensor.shape)),
                input_rank=None if source is None else len(_list(graph.tensors[source].shape)),
            )
        )
    return found


def pack_model(model: Any) -> bytes:
    """The file of an object model, with byte vectors at multiples of 16: the schema asks it, and generated Python forgets it."""
    import flatbuffers

    class AligningBuilder(flatbuffers.Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
            content = x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes()
            self.StartVector(x.itemsize, x.size, 16 if x.itemsize == 1 else x.dtype.alignment)
            self.head -= len(content)
            self.Bytes[self.head : self.head + len(content)] = content
            return int(self.EndVector())

    builder = AligningBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def weights_by_layer(
    file: bytes, layer_names: Sequence[str], kernel_shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Weight]:
    """The weights of the user's Keras layers in a freshly converted file (one whose names are still there).

    Give all layers with weights, in the model's order: a Keras 3 export numbers its scopes so that ``conv2d_1`` in the
    file can be the layer ``conv2d``, which only shows beside the others. Names are matched by whole path components.
    With ``kernel_shapes`` (Keras order, as in ``LayerInfo``), weights that no name explains are assigned by order and
    shape where one assignment is possible. A layer of several weights (separable convolutions) gives its largest.
    Layers that cannot be told for sure are left out. Raises ``BuildFailed`` for an unreadable file.
    """
    model = read_model(file)
    graph = model.subgraphs[0]
    weighted = [operator for operator in _operators(model) if operator.weight_index is not None]
    named = [
        Named(
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
    """Layers that are called by the tensors that operators give (those of a ``.tflite`` given as the model), if all are."""
    owners: dict[str, list[int]] = {}
    for operator in operators:
        for name in {part for whole in operator.output_name.split(";") for part in (whole, _unsuffixed(whole))}:
            owners.setdefault(name, []).append(operator.index)
    found = {name: owners[name][0] for name in layer_names if len(owners.get(name, ())) == 1}
    return found if len(found) == len(layer_names) else {}


def _unsuffixed(name: str) -> str:
    """A name without what the quantizer appends to the tensors on both sides of an operator that it inserts."""
    return name.removesuffix("_quantized").removesuffix("_dequant")


def weights_at(file: bytes, tensors: Mapping[str, int]) -> dict[str, Weight]:
    """The weights of layers whose tensor index is known (``Weight.tensor_index``): slimming removes names and keeps order.

    Raises ``BuildFailed`` when no operator of the file uses such a tensor as its weight.
    """
    model = read_model(file)
    users: dict[int, Operator] = {}
    for operator in _operators(model):
        if operator.weight_index is not None:
            users.setdefault(operator.weight_index, operator)
    lost = [f"{layer} (tensor {index})" for layer, index in tensors.items() if index not in users]
    if lost:
        raise BuildFailed(f"no operator of the file has these as its weights any more: {', '.join(lost)}")
    return {layer: _weight(model, users[index]) for layer, index in tensors.items()}


def weights_of_operators(file: bytes, indices: Sequence[int]) -> dict[int, Weight]:
    """The weights of operators by index (``Operator.index``). Raises ``BuildFailed`` for one without constant weights."""
    model = read_model(file)
    found = {op.index: op for op in _operators(model) if op.weight_index is not None}
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
    scale = np.asarray(_list(quantization.scale), np.float32)
    return scale, np.asarray(_list(quantization.zeroPoint), np.int64)


def _table(model: Any, graph: Any, index: int, dtype: type) -> np.ndarray:
    """A constant tensor that holds scales or zero points; -1 or no data means none."""
    data = model.buffers[graph.tensors[index].buffer].data if index >= 0 else None
    if data is None:
        return np.zeros(0, dtype)
    tensor = graph.tensors[index]
    return dense_values(tensor, type_name(tensor.type), data).astype(dtype)


def _list(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def tensors_of(model: Any) -> Iterator[Any]:
    """All tensors of all subgraphs, in order."""
    for graph in model.subgraphs:
        yield from graph.tensors
