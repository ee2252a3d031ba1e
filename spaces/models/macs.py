"""Multiply-accumulates (MACs) of a layer for one sample, from its settings and shapes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from litetuner.spaces.models.keras_graph import calls_of, first_input, first_output


def layer_macs(layer: Any) -> int | None:
    """MACs of all calls of a layer.

    0 for a layer that multiplies nothing by weights, ``None`` if sizes or the layer type are unknown. Bias additions,
    activations, pooling and batch normalization (which is folded into the layer before it) are not counted.
    """
    kind = type(layer).__name__
    if not layer.weights or kind in NOTHING:
        return 0
    count = COUNTERS.get(kind)
    if count is None:
        return None
    total = 0
    for call in calls_of(layer):
        before, after = tuple(first_input(call).shape), tuple(first_output(call).shape)
        if any(size is None for size in (*before[1:], *after[1:])):
            return None
        total += count(layer, [size or 1 for size in before], [size or 1 for size in after])
    return total


# Layers whose weights multiply nothing in a finished file, or take one multiplication per value.
NOTHING = frozenset(
    ["Embedding", "BatchNormalization", "LayerNormalization", "GroupNormalization", "PReLU", "Normalization"]
)


def _kernel(layer: Any, name: str = "kernel") -> int:
    return math.prod(int(size) for size in getattr(layer, name).shape)


def weight_uses(layer: Any, before: Sequence[int], after: Sequence[int]) -> int:
    """How often each weight is used for one sample.

    That is once per output position, or once per input position in a transposed convolution.
    """
    return math.prod((before if type(layer).__name__.endswith("Transpose") else after)[1:-1])


def _convolution(layer: Any, before: list[int], after: list[int]) -> int:
    names = [name for name in ("kernel", "depthwise_kernel", "pointwise_kernel") if hasattr(layer, name)]
    return weight_uses(layer, before, after) * sum(_kernel(layer, name) for name in names)


def _einsum(layer: Any, before: list[int], after: list[int]) -> int:
    inputs, output = layer.equation.replace(" ", "").split("->")
    first, second = inputs.split(",")
    if "." in layer.equation:  # an ellipsis: unnamed axes
        return math.prod(after[1:]) * math.prod(
            size for name, size in zip(second, layer.kernel.shape, strict=True) if name not in output
        )
    sizes = dict(zip(second, (int(size) for size in layer.kernel.shape), strict=True)) | dict(
        zip(first, before, strict=True)
    )
    return math.prod(size for name, size in sizes.items() if name != first[0])


def _recurrent(layer: Any, before: list[int], after: list[int]) -> int:
    return before[1] * (_kernel(layer.cell) + _kernel(layer.cell, "recurrent_kernel"))


def _both_ways(layer: Any, before: list[int], after: list[int]) -> int:
    return sum(_recurrent(part, before, after) for part in (layer.forward_layer, layer.backward_layer))


def _each_step(layer: Any, before: list[int], after: list[int]) -> int:
    inner = COUNTERS.get(type(layer.layer).__name__)
    return 0 if inner is None else before[1] * inner(layer.layer, [1, *before[2:]], [1, *after[2:]])


def _attention(layer: Any, before: list[int], after: list[int]) -> int:
    config = layer.get_config()
    heads, key, value = config["num_heads"], config["key_dim"], config["value_dim"] or config["key_dim"]
    steps = math.prod(before[1:-1])
    matrices = sum(math.prod(int(size) for size in weight.shape) for weight in layer.weights if len(weight.shape) > 2)
    return steps * matrices + steps * steps * heads * (key + value)


COUNTERS: dict[str, Callable[[Any, list[int], list[int]], int]] = {
    **{f"Conv{rank}D{kind}": _convolution for rank in (1, 2, 3) for kind in ("", "Transpose")},
    **{f"{kind}Conv{rank}D": _convolution for rank in (1, 2) for kind in ("Depthwise", "Separable")},
    **{kind: _recurrent for kind in ("LSTM", "GRU", "SimpleRNN")},
    "Dense": _convolution,
    "EinsumDense": _einsum,
    "Bidirectional": _both_ways,
    "TimeDistributed": _each_step,
    "MultiHeadAttention": _attention,
}
