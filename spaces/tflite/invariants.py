"""Invariants: properties that each layer of a candidate must have, verified in the finished file."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from litetuner.spaces.channels.kernel_shapes import compare
from litetuner.spaces.tflite.weights import Weight

Value = float | int | str


@dataclasses.dataclass(frozen=True)
class Invariant:
    """A required property of the weights of one layer, or of the weights of all layers in ``of`` together.

    ``property`` is one of

    - ``sparsity``: at least this share of zeros; one weight less is allowed for rounding; not all weights may be zero;
    - ``sparsity_of_all``: at least this share of zeros over all layers in ``of``; one weight less per layer is allowed;
    - ``clusters``: at most this number of distinct values in each output channel; not all weights may be zero;
    - ``tensor_clusters``: at most this number of distinct values in the tensor, if it has at most one scale (floats and
      weights quantized per tensor); otherwise in each channel, because each channel has its own scale;
    - ``weight_type`` and ``activation_type``: ``int8``, ``int4``, ``float32``, ``float16``, ``int16``;
    - ``shape``: the shape of a Keras kernel, such as ``"3x3x16x32"``; the axes have another order in the file.
    """

    layer: str
    property: str
    requested: Value
    of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.property not in PROPERTIES and self.property != TOGETHER:
            raise ValueError(f"there is no property {self.property!r}; known: {', '.join([*PROPERTIES, TOGETHER])}")


@dataclasses.dataclass(frozen=True)
class Finding:
    """The requested value and the verified value in the file, ``None`` if the layer's weights were not found."""

    layer: str
    property: str
    requested: Value
    verified: Value | None
    ok: bool


def verify_invariants(invariants: Sequence[Invariant], weights: Mapping[str, Weight]) -> list[Finding]:
    """One finding per invariant, in the same order. Invariants of a layer that is not in ``weights`` fail."""
    findings = []
    for invariant in invariants:
        held = [weights.get(layer) for layer in invariant.of or (invariant.layer,)]
        known = [weight for weight in held if weight is not None]
        found: Value | None
        if len(known) < len(held):
            found, ok = None, False
        elif invariant.property == TOGETHER:
            found, ok = _sparsity_of_all(known, invariant.requested)
        else:
            found, ok = PROPERTIES[invariant.property](known[0], invariant.requested)
        findings.append(Finding(invariant.layer, invariant.property, invariant.requested, found, ok))
    return findings


def zeros(weight: Weight) -> np.ndarray:
    """True for each stored value that represents zero (equal to the zero point), in the shape of the weight."""
    if weight.zero_point.size == 0 or not weight.zero_point.any():
        return np.equal(weight.values, 0)
    points = weight.zero_point
    if points.ndim == 1 and points.size > 1:
        shape = [1] * weight.values.ndim
        shape[weight.channel_axis] = points.size
        points = points.reshape(shape)
    elif points.ndim > 1:  # blockwise: one zero point for each block of values along the last axis
        points = np.repeat(points, weight.values.shape[-1] // points.shape[-1], axis=-1)
    return np.equal(weight.values.astype(np.int64), points)


def distinct(values: np.ndarray) -> int:
    """The number of distinct values.

    float16 values are converted to float32 first, because NumPy 2.4 sorts float16 incorrectly on processors with
    AVX512-FP16: for 9,216 numbers with 16 distinct values, ``np.unique`` returned 30.
    """
    return np.unique(values.astype(np.float32) if values.dtype == np.float16 else values).size


def distinct_per_channel(weight: Weight) -> int:
    """The largest number of distinct stored values in any output channel."""
    channels = np.moveaxis(weight.values, weight.channel_axis, 0)
    return max(map(distinct, channels), default=0)


def _sparsity(weight: Weight, requested: Value) -> tuple[Value, bool]:
    zero = zeros(weight)
    found = float(zero.mean()) if zero.size else 0.0
    return found, bool(zero.sum() + 1 >= float(requested) * zero.size) and not _emptied(zero, float(requested))


def _emptied(zero: np.ndarray, requested: float) -> bool:
    """True if all weights are zero but at least two should not be. tfmot sometimes does this (its issue 979)."""
    return bool(zero.all()) and (1 - requested) * zero.size >= 2


def _sparsity_of_all(weights: Sequence[Weight], requested: Value) -> tuple[Value, bool]:
    empty = sum(int(zeros(weight).sum()) for weight in weights)
    size = sum(weight.values.size for weight in weights)
    return empty / size if size else 0.0, empty + len(weights) >= float(requested) * size


def _clusters(weight: Weight, requested: Value) -> tuple[Value, bool]:
    found = distinct_per_channel(weight)
    return found, found <= int(requested) and not _emptied(zeros(weight), 0.0)


def _tensor_clusters(weight: Weight, requested: Value) -> tuple[Value, bool]:
    if weight.scale.size > 1:
        return _clusters(weight, requested)
    found = distinct(weight.values)
    return found, found <= int(requested) and not _emptied(zeros(weight), 0.0)


TOGETHER = "sparsity_of_all"
PROPERTIES: dict[str, Callable[[Weight, Value], tuple[Value, bool]]] = {
    "sparsity": _sparsity,
    "clusters": _clusters,
    "tensor_clusters": _tensor_clusters,
    "weight_type": lambda weight, requested: (weight.dtype, weight.dtype == requested),
    "activation_type": lambda weight, requested: (weight.activation_dtype, weight.activation_dtype == requested),
    "shape": lambda weight, requested: compare(weight.values.shape, weight.operator, str(requested)),
}
