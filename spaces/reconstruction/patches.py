"""The inputs of a layer at single output positions (im2col), as rows of a system of linear equations."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.models.keras_bridge.layers import is_standard

_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
MOST_FEATURES = 4608  # a kernel of 3x3x512; the time to solve for it grows with the cube
# Layer types whose outputs are linear in the kernel: rows of inputs, times the kernel, plus the bias.
KINDS = ("Conv1D", "Conv2D", "Dense", *_DEPTHWISE)


def why_not_refitted(layer: Any) -> str | None:
    """The reason why a tf_keras layer's kernel cannot be refitted to its inputs; ``None`` if it can be."""
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
    """The number of weights of each output of a layer, without the bias."""
    return math.prod(layer.weights[0].shape[: -2 if is_depthwise(layer) else -1])


def is_depthwise(layer: Any) -> bool:
    """True if each input channel has its own kernel."""
    return type(layer).__name__ in _DEPTHWISE


def places(shape: Sequence[int], count: int, random: np.random.Generator) -> np.ndarray:
    """Indices (axes but the last, count) of ``count`` random positions in a shape (n, ..., channels); all if fewer."""
    chosen = chosen_places(math.prod(shape[:-1]), count, random)
    return np.stack(np.unravel_index(chosen, tuple(shape[:-1])))


def chosen_places(total: int, count: int, random: np.random.Generator) -> np.ndarray:
    """``count`` random numbers below ``total``, sorted and without repetition; all if there are fewer."""
    return np.sort(random.choice(total, min(count, total), replace=False))


def patches(layer: Any, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The inputs of ``layer`` in ``x`` (n, ..., channels) at output positions ``at``: (positions, taps, channels)."""
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
    """A convolution's inputs in ``x`` (n, ..., channels) at output positions ``at``: (positions, taps, channels)."""
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
    """The inputs in ``x`` (n, height, width, channels) of a transposed convolution at the output positions ``at``.

    The result is (positions, taps, channels), with zeros where no input belongs to a tap. ``padded`` are the height and
    width of an output with "same" padding, whose borders are cut off; ``None`` for "valid" padding.
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
    """The number of zeros that TensorFlow pads before and after an axis."""
    reach = (kernel - 1) * step
    if kind == "valid":
        return 0, 0
    if kind == "causal":
        return reach, 0
    missing = max(0, (math.ceil(size / stride) - 1) * stride + reach + 1 - size)
    return missing // 2, missing - missing // 2
