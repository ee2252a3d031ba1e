"""What must hold for each layer of a candidate, verified in the finished file."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from litetuner.spaces.channels.kernel_shapes import compare
from litetuner.spaces.tflite.weights import Weight

Value = float | int | str


@dataclasses.dataclass(frozen=True)
class Invariant:
    """One property of one layer's weights, or of the weights of the layers ``of`` together.

    ``property`` is one of

    - ``sparsity``: at least this share of zeros, one weight's worth of rounding allowed, and not all (also of ``clusters``);
    - ``sparsity_of_all``: the same over all weights of the layers ``of``, one weight of each allowed;
    - ``clusters``: at most so many distinct values in each output channel;
    - ``tensor_clusters``: at most so many distinct values in the tensor where it has one scale, as floats and weights
      quantized by tensor have; in each channel where scales by channel multiply them;
    - ``weight_type`` and ``activation_type``: ``int8``, ``int4``, ``float32``, ``float16``, ``int16``;
    - ``shape``: a Keras kernel's, ``"3x3x16x32"``, which the file holds with its axes in another order.
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
    """What was requested and what the file holds; ``verified`` is ``None`` where the layer's weights are not found in it."""

    layer: str
    property: str
    requested: Value
    verified: Value | None
    ok: bool


def verify_invariants(invariants: Sequence[Invariant], weights: Mapping[str, Weight]) -> list[Finding]:
    """A finding for each invariant, in order. A layer that is not in ``weights`` breaks its invariants."""
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
    """Which stored values mean zero (bool, shape of the weight): those equal to the zero point."""
    if weight.zero_point.size == 0 or not weight.zero_point.any():
        return np.equal(weight.values, 0)
    points = weight.zero_point
    if points.ndim == 1 and points.size > 1:
        shape = [1] * weight.values.ndim
        shape[weight.channel_axis] = points.size
        points = points.reshape(shape)
    elif points.ndim > 1:  # blockwise: one for each run of neighbors along the last axis
        points = np.repeat(points, weight.values.shape[-1] // points.shape[-1], axis=-1)
    return np.equal(weight.values.astype(np.int64), points)


def distinct(values: np.ndarray) -> int:
    """How many values differ.

    float16 is counted as float32: NumPy 2.4 does not sort it right on processors with AVX512-FP16 (of 9,216 numbers with 16
    values ``np.unique`` found 30).
    """
    return np.unique(values.astype(np.float32) if values.dtype == np.float16 else values).size


def distinct_per_channel(weight: Weight) -> int:
    """The most distinct values that any output channel stores."""
    channels = np.moveaxis(weight.values, weight.channel_axis, 0)
    return max(map(distinct, channels), default=0)


def _sparsity(weight: Weight, requested: Value) -> tuple[Value, bool]:
    zero = zeros(weight)
    found = float(zero.mean()) if zero.size else 0.0
    return found, bool(zero.sum() + 1 >= float(requested) * zero.size) and not _emptied(zero, float(requested))


def _emptied(zero: np.ndarray, requested: float) -> bool:
    """Is a kernel all zeros that should have kept at least two weights? tfmot was seen to do that (its issue 979)."""
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
