"""The weights of each layer in a finished file: precision, sparsity, clusters and bytes."""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence

from litetuner.spaces.jobs.record import Record
from litetuner.spaces.tflite.invariants import distinct_per_channel, zeros
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.schema import read_model, rejects_damage
from litetuner.spaces.tflite.weights import Weight, weights_at, weights_by_layer


@dataclasses.dataclass(frozen=True)
class LayerInFile(Record):
    """The weights of one layer as a file stores them.

    ``layer`` is the name of the user's Keras layer, or ``None`` if the layer of this operator is not certain.
    ``sparsity`` is the share of zeros. ``clusters`` is the largest number of distinct values in any output channel.
    ``bytes`` is the size of the tensor in the file, ``compressed`` its size after zlib at level 9 (this tensor alone).
    """

    layer: str | None
    operator: str
    shape: tuple[int, ...]
    precision: str
    sparsity: float
    clusters: int
    bytes: int
    compressed: int


@rejects_damage
def read_layers(
    file: bytes, kernels: Mapping[str, Sequence[int]], baseline: Sequence[LayerInFile] = (), *, reshaped: bool = False
) -> tuple[LayerInFile, ...]:
    """All weights of a file, in the order of execution.

    ``kernels`` is the kernel shape (Keras order) of every layer with weights, in the model's order. Files of a search
    have no tensor names, so layers are matched by shape and order if only one assignment is possible. The remaining
    layers are matched by position with ``baseline`` (the result of this function for the baseline's file). This
    requires that both files have the same operators in the same order, with weights that are not larger than the
    baseline's. Set ``reshaped`` if channels were pruned, because shapes cannot be matched then. Raises ``BuildFailed``
    for an unreadable file.
    """
    model = read_model(file)
    at = {str(operator.index): operator.weight_index for operator in read_operators(file)}
    found = weights_at(file, {name: index for name, index in at.items() if index is not None})
    weights = sorted(found.values(), key=lambda weight: weight.operator_index)
    matched = weights_by_layer(file, list(kernels), None if reshaped else kernels)
    layers = {weight.operator_index: layer for layer, weight in matched.items()}
    if len(layers) < len(weights) and _same_operators(weights, baseline):
        by_place = {weight.operator_index: old.layer for weight, old in zip(weights, baseline, strict=True)}
        if all(by_place[index] == layer for index, layer in layers.items()):
            layers = {index: layer for index, layer in by_place.items() if layer is not None}
    tensors = model.subgraphs[0].tensors
    return tuple(
        _describe(
            weight, bytes(model.buffers[tensors[weight.tensor_index].buffer].data), layers.get(weight.operator_index)
        )
        for weight in weights
    )


def _same_operators(weights: Sequence[Weight], baseline: Sequence[LayerInFile]) -> bool:
    return len(weights) == len(baseline) and all(
        weight.operator == old.operator
        and weight.values.ndim == len(old.shape)
        and all(size <= before for size, before in zip(weight.values.shape, old.shape, strict=True))
        for weight, old in zip(weights, baseline, strict=True)
    )


def _describe(weight: Weight, stored: bytes, layer: str | None) -> LayerInFile:
    zero = zeros(weight)
    return LayerInFile(
        layer=layer,
        operator=weight.operator,
        shape=tuple(int(size) for size in weight.values.shape),
        precision=weight.dtype,
        sparsity=float(zero.mean()) if zero.size else 0.0,
        clusters=distinct_per_channel(weight),
        bytes=len(stored),
        compressed=len(zlib.compress(stored, 9)),
    )
