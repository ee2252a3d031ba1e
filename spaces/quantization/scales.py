"""Weight scales that kernels accept: filters with weights near 0 get a scale that can also store their bias.

For such filters litert-quantizer writes a scale of 0 (MSE, OCTAV), which XNNPACK rejects or leaves to slow kernels.
With min-max it writes a scale so small that the bias overflows its integer type, and the channel's constant output is
lost.
"""

from typing import Any

import numpy as np

from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import as_list, ints, pack_model, read_model, type_name
from litetuner.spaces.tflite.tensor_values import dense_values
from litetuner.spaces.tflite.weight_operators import WEIGHT_OPERATORS

LARGEST = {"int8": 127, "int4": 7}
LEAST_RANGE = 1e-9  # min-max uses this as a filter's largest weight if all weights are smaller
BIAS_STEPS = 2.0**30  # the largest bias, in steps of its scale; more overflows int32, or the multiplier of int64 sums


def valid_scales(quantized: bytes, original: bytes) -> bytes:
    """The quantized file with valid scales; the same bytes if all are valid already. ``original`` is the float file.

    Only channels with a larger new scale change: their weights, which are almost 0 on the new scale, and their bias.
    """
    model, before = read_model(quantized), read_model(original)
    pairs = zip(
        (operator for operator in operators_of(model) if operator.weight_index is not None),
        (operator for operator in operators_of(before) if operator.weight_index is not None),
        strict=True,
    )
    changed = [_repair(model, new, _bias(before, old)) for new, old in pairs]
    return pack_model(model) if any(changed) else quantized


def _repair(model: Any, operator: Any, bias: np.ndarray | None) -> bool:
    """Give the weights of an operator valid scales; true if that changed any. ``bias`` (channels,) are float values."""
    tensors = model.subgraphs[0].tensors
    tensor = tensors[operator.weight_index]
    dtype, quantization = type_name(tensor.type), tensor.quantization
    scale = np.asarray([] if quantization is None else as_list(quantization.scale), np.float32)
    if dtype not in LARGEST or not scale.size or tensor.sparsity is not None:
        return False
    usable = np.isfinite(scale) & (scale >= np.finfo(np.float32).tiny)
    wanted = np.where(usable, scale, np.float32(LEAST_RANGE / LARGEST[dtype]))
    index, step = _stored_bias(model, operator)
    if bias is not None and index is not None:
        needed = np.abs(bias) / (step * BIAS_STEPS)
        wanted = np.maximum(wanted, needed if scale.size > 1 else needed.max()).astype(np.float32)
    grown = ~usable | (wanted > scale)
    if not grown.any():
        return False
    values = dense_values(tensor, dtype, model.buffers[tensor.buffer].data)
    along = [1] * values.ndim
    along[int(quantization.quantizedDimension) if scale.size > 1 else 0] = -1
    ratio = np.where(usable, scale, 0).astype(np.float64) / wanted
    _write(model, tensor, dtype, np.rint(values * ratio.reshape(along)).astype(np.int8))
    quantization.scale = wanted
    if bias is not None and index is not None:
        stored = tensors[index]
        kind = type_name(stored.type)
        kept = dense_values(stored, kind, model.buffers[stored.buffer].data)
        steps = np.rint(bias / (step * wanted.astype(np.float64)))
        _write(model, stored, kind, np.where(grown, steps, kept).astype(kind))
        stored.quantization.scale = np.where(grown, step * wanted, as_list(stored.quantization.scale)).astype(
            np.float32
        )
    return True


def _stored_bias(model: Any, operator: Any) -> tuple[int | None, float]:
    """The tensor index of an operator's integer bias (``None`` without one), and the scale of the operator's input."""
    graph = model.subgraphs[0]
    inputs, holds = ints(graph.operators[operator.index].inputs), WEIGHT_OPERATORS[operator.name]
    at = _bias_input(operator)
    if at >= len(inputs) or inputs[at] < 0 or type_name(graph.tensors[inputs[at]].type) not in ("int32", "int64"):
        return None, 0.0
    return inputs[at], float(graph.tensors[inputs[holds.activation_input]].quantization.scale[0])


def _bias(model: Any, operator: Any) -> np.ndarray | None:
    graph, at = model.subgraphs[0], _bias_input(operator)
    inputs = ints(graph.operators[operator.index].inputs)
    tensor = graph.tensors[inputs[at]] if at < len(inputs) and inputs[at] >= 0 else None
    if tensor is None or model.buffers[tensor.buffer].data is None or type_name(tensor.type) != "float32":
        return None
    return dense_values(tensor, "float32", model.buffers[tensor.buffer].data).astype(np.float64)


def _bias_input(operator: Any) -> int:
    holds = WEIGHT_OPERATORS[operator.name]
    return max(holds.activation_input, holds.weight_input) + 1


def _write(model: Any, tensor: Any, dtype: str, values: np.ndarray) -> None:
    """Store integers in the tensor's buffer; a buffer that several tensors share is replaced by a new one."""
    flat = values.reshape(-1)
    if dtype == "int4":  # two values per byte, the first one in the low bits
        low, high = np.append(flat, np.zeros(flat.size % 2, np.int8)).reshape(-1, 2).T & 15
        flat = (low | high << 4).astype(np.uint8)
    users = sum(other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors)
    if users > 1:
        from ai_edge_litert import schema_py_generated as schema

        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(np.ascontiguousarray(flat).tobytes(), np.uint8)
