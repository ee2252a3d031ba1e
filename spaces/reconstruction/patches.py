"""The inputs of a layer at single positions of its output (im2col), as rows of a linear equation."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.models.keras_bridge.layers import is_standard

# Name of the kernel by type. Their outputs are linear in it: rows of what is read, times the kernel, plus the bias.
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
MOST_FEATURES = 4608  # a kernel of 3x3x512; the time of a solution grows by the cube
KINDS = ("Conv1D", "Conv2D", "Dense", *_DEPTHWISE)


def why_not_refitted(layer: Any) -> str | None:
    """Why a tf_keras layer's kernel is not solved for from what it reads; ``None`` where it can be."""
    import tf_keras

    if type(layer).__name__ not in KINDS or not is_standard(layer, tf_keras):
        return f"a {type(layer).__name__} is not refitted"
    if len(layer.inbound_nodes) != 1:
        return "it is called more than once"
    if getattr(layer, "groups", 1) != 1:
        return f"its {layer.groups} groups are not refitted"
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "its channels come first"
    if layer.kernel_constraint if hasattr(layer, "kernel_constraint") else layer.depthwise_constraint:
        return "its kernel has a constraint"
    if features(layer) > MOST_FEATURES:
        return f"its outputs have {features(layer)} weights each, and {MOST_FEATURES} are the most"
    return None


def features(layer: Any) -> int:
    """How many weights each output of a layer has, apart from the bias."""
    return math.prod(layer.weights[0].shape[: -2 if is_depthwise(layer) else -1])


def is_depthwise(layer: Any) -> bool:
    """Has each input channel a kernel of its own?"""
    return type(layer).__name__ in _DEPTHWISE


def places(shape: Sequence[int], count: int, random: np.random.Generator) -> np.ndarray:
    """``count`` places of an output of this shape (n, ..., channels), or all if there are fewer: (axes but the last, count)."""
    chosen = chosen_places(math.prod(shape[:-1]), count, random)
    return np.stack(np.unravel_index(chosen, tuple(shape[:-1])))


def chosen_places(total: int, count: int, random: np.random.Generator) -> np.ndarray:
    """``count`` of ``total`` numbers in order, or all if there are fewer."""
    return np.sort(random.choice(total, min(count, total), replace=False))


def patches(layer: Any, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What ``layer`` reads of its input ``x`` (n, ..., channels) at the output's places ``at``: (places, taps, channels)."""
    if type(layer).__name__ == "Dense":
        rows: np.ndarray = x[tuple(at)]
        return rows[:, None]
    sizes, strides, steps = (
        _each(value, len(at) - 1) for value in (layer.kernel_size, layer.strides, layer.dilation_rate)
    )
    return windows(x, at, sizes, strides, steps, layer.padding)


def windows(
    x: np.ndarray,
    at: np.ndarray,
    sizes: Sequence[int],
    strides: Sequence[int],
    steps: Sequence[int],
    padding: str,
) -> np.ndarray:
    """What a convolution reads of ``x`` (n, ..., channels) at the output's places ``at``: (places, taps, channels)."""
    axes = range(len(at) - 1)
    before = [_padding(padding, x.shape[1 + i], sizes[i], strides[i], steps[i])[0] for i in axes]
    taps = []
    for tap in itertools.product(*(range(size) for size in sizes)):
        places = [at[1 + i] * strides[i] + tap[i] * steps[i] - before[i] for i in axes]
        inside = np.all([(place >= 0) & (place < x.shape[1 + i]) for i, place in enumerate(places)], axis=0)
        near = (place.clip(0, x.shape[1 + i] - 1) for i, place in enumerate(places))
        taps.append(x[(at[0], *near)] * inside[:, None].astype(x.dtype))
    return np.stack(taps, axis=1)


def transposed_windows(
    x: np.ndarray, at: np.ndarray, sizes: Sequence[int], strides: Sequence[int], padded: Sequence[int] | None
) -> np.ndarray:
    """What a transposed convolution reads of ``x`` (n, height, width, channels) at the output's places ``at``.

    (places, taps, channels): zeros where a tap meets no input. ``padded`` are the output's height and width where it is padded
    as "same", whose borders are cut off.
    """
    before = [0, 0]
    if padded is not None:
        whole = zip(x.shape[1:3], sizes, strides, padded, strict=True)
        before = [max(0, (size - 1) * stride + tap - wanted) // 2 for size, tap, stride, wanted in whole]
    taps = []
    for tap in itertools.product(*(range(size) for size in sizes)):
        spread = [at[1 + i] + before[i] - tap[i] for i in range(2)]
        found = [place // stride for place, stride in zip(spread, strides, strict=True)]
        inside = np.all(
            [
                (place % strides[i] == 0) & (found[i] >= 0) & (found[i] < x.shape[1 + i])
                for i, place in enumerate(spread)
            ],
            axis=0,
        )
        near = (place.clip(0, x.shape[1 + i] - 1) for i, place in enumerate(found))
        taps.append(x[(at[0], *near)] * inside[:, None].astype(x.dtype))
    return np.stack(taps, axis=1)


def _each(value: Any, count: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * count
    return values * count if len(values) == 1 else values


def _padding(kind: str, size: int, kernel: int, stride: int, step: int) -> tuple[int, int]:
    """Zeros before and after an axis, as TensorFlow pads it."""
    reach = (kernel - 1) * step
    if kind == "valid":
        return 0, 0
    if kind == "causal":
        return reach, 0
    missing = max(0, (math.ceil(size / stride) - 1) * stride + reach + 1 - size)
    return missing // 2, missing - missing // 2
