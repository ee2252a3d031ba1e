"""What a candidate's label promises of each layer, proved in the finished file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from litetuner.spaces.flatbuffer import Weight

Value = float | int | str


@dataclasses.dataclass(frozen=True)
class Promise:
    """One property of one layer's weights.

    ``property`` is ``sparsity`` (at least this share of zeros, one weight's worth of rounding allowed), ``clusters`` (at
    most so many distinct values in each output channel), ``pattern`` (``"2:4"``: at least two zeros in every four
    neighbours along the weight's last axis) or ``weight_type`` (``int8``, ``int4``, ``float32``, ``float16``).
    """

    layer: str
    property: str
    asked: Value

    def __post_init__(self) -> None:
        if self.property not in PROPERTIES:
            raise ValueError(f"nothing can be promised about {self.property!r}; known: {', '.join(PROPERTIES)}")


@dataclasses.dataclass(frozen=True)
class Finding:
    """A promise and what the file holds; ``found`` is ``None`` when the layer's weights are not to be found in it."""

    layer: str
    property: str
    asked: Value
    found: Value | None
    ok: bool


def check_promises(promises: Sequence[Promise], weights: Mapping[str, Weight]) -> list[Finding]:
    """A finding for each promise, in order. A layer that is not in ``weights`` breaks its promises."""
    findings = []
    for promise in promises:
        weight = weights.get(promise.layer)
        found, ok = (None, False) if weight is None else PROPERTIES[promise.property](weight, promise.asked)
        findings.append(Finding(promise.layer, promise.property, promise.asked, found, ok))
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
    elif points.ndim > 1:  # blockwise: one for each run of neighbours along the last axis
        points = np.repeat(points, weight.values.shape[-1] // points.shape[-1], axis=-1)
    return np.equal(weight.values.astype(np.int64), points)


def distinct_per_channel(weight: Weight) -> int:
    """The most distinct values that any output channel stores."""
    channels = np.moveaxis(weight.values, weight.channel_axis, 0)
    return max((np.unique(channel).size for channel in channels), default=0)


def _sparsity(weight: Weight, asked: Value) -> tuple[Value, bool]:
    zero = zeros(weight)
    found = float(zero.mean()) if zero.size else 0.0
    return found, bool(zero.sum() + 1 >= float(asked) * zero.size)


def _clusters(weight: Weight, asked: Value) -> tuple[Value, bool]:
    found = distinct_per_channel(weight)
    return found, found <= int(asked)


def _pattern(weight: Weight, asked: Value) -> tuple[Value, bool]:
    """``found`` is the fewest zeros in any block, with the block's length. The last block of a row may be short (padding)."""
    least, block = (int(part) for part in str(asked).split(":"))
    zero = zeros(weight)
    rows = zero.reshape(-1, zero.shape[-1])
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % block)), constant_values=True)
    fewest = int(padded.reshape(-1, block).sum(axis=1).min())
    return f"{fewest}:{block}", fewest >= least


def _weight_type(weight: Weight, asked: Value) -> tuple[Value, bool]:
    return weight.dtype, weight.dtype == asked


PROPERTIES: dict[str, Callable[[Weight, Value], tuple[Value, bool]]] = {
    "sparsity": _sparsity,
    "clusters": _clusters,
    "pattern": _pattern,
    "weight_type": _weight_type,
}
