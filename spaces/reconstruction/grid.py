"""Quantization grids: weights in the finished file are integer multiples of a scale per channel or per tensor."""

import dataclasses
import functools

import numpy as np

from litetuner.spaces.reconstruction.compensation import compensated, polished

INT8 = 127
CLIPS = np.linspace(0.4, 1.0, 25)  # clipping ranges to try, as shares of the largest weight


@dataclasses.dataclass(frozen=True)
class Levels:
    """The allowed integers, sorted and including 0. ``end`` is the largest integer of their type: 127 or 7."""

    values: np.ndarray
    end: int

    def nearest(self, weights: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The nearest level of each weight."""
        if self.values.size == 2 * self.end + 1:
            return np.clip(np.rint(weights / scale), -self.end, self.end)
        found: np.ndarray = self.values[self._middles.searchsorted(weights / scale)]
        return found

    @functools.cached_property
    def _middles(self) -> np.ndarray:
        between: np.ndarray = (self.values[1:] + self.values[:-1]) / 2
        return between


@dataclasses.dataclass(frozen=True)
class Stored:
    """A quantized kernel: integers (maps, features, outputs), and scales that broadcast to their shape."""

    integers: np.ndarray
    scale: np.ndarray

    @property
    def kernel(self) -> np.ndarray:
        values: np.ndarray = self.integers * self.scale
        return values


def even_levels(bits: int) -> Levels:
    """All integers of int8 or int4; for other numbers of bits, evenly spaced int8 integers."""
    steps = 2 ** (bits - 1) - 1
    end = steps if bits in (8, 4) else 127
    return Levels(np.rint(np.arange(-steps, steps + 1) * (end / steps)), end)


def spaced_levels(count: int) -> Levels:
    """``count`` evenly spaced int8 integers; ``count`` is odd."""
    steps = count // 2
    return Levels(np.rint(np.arange(-steps, steps + 1) * (INT8 / steps)), INT8)


def nearest(kernel: np.ndarray, bits: int, axes: tuple[int, ...]) -> Stored:
    """Rounding to nearest; the largest weight maps to the end of the grid."""
    levels = even_levels(bits)
    largest = np.abs(kernel).max(axis=axes, keepdims=True)
    scale = np.where(largest > 0, largest, 1.0) / levels.end
    return Stored(levels.nearest(kernel, scale), scale)


def nearest_of_best_scale(
    kernel: np.ndarray, hessian: np.ndarray, factor: np.ndarray | None, bits: int, axes: tuple[int, ...]
) -> Stored:
    """``rounded`` in one pass, for estimates; rounding to nearest without ``factor``. Zeros stay."""
    levels = even_levels(bits)
    scale = _best_scale(kernel, np.abs(kernel).max(axis=axes, keepdims=True), hessian, levels, axes)
    return _in_one_pass(kernel, factor, levels, scale)


def nearest_spaced(kernel: np.ndarray, factor: np.ndarray | None, count: int) -> Stored:
    """``spaced`` in one pass, for estimates; rounding to nearest without ``factor``. Zeros stay."""
    return _in_one_pass(kernel, factor, spaced_levels(count), _scale_of_tensor(kernel))


def _in_one_pass(kernel: np.ndarray, factor: np.ndarray | None, levels: Levels, scale: np.ndarray) -> Stored:
    keep = kernel != 0
    if factor is None:
        return Stored(levels.nearest(kernel, scale) * keep, scale)
    by_feature = np.broadcast_to(scale, (kernel.shape[0], 1, kernel.shape[2]))[:, 0]
    done = compensated(kernel, factor, lambda at, k: levels.nearest(at, by_feature) * by_feature * keep[:, k])
    return Stored(np.rint(done / scale), scale)


def _scale_of_tensor(kernel: np.ndarray) -> np.ndarray:
    """The scale that clips no weight: rare large integers take few compressed bytes."""
    return np.full((1, 1, 1), (float(np.abs(kernel).max()) or 1.0) / INT8)


def rounded(
    start: np.ndarray, wanted: np.ndarray, hessian: np.ndarray, factor: np.ndarray, bits: int, axes: tuple[int, ...]
) -> Stored:
    """Rounds ``start`` to the grid so that outputs stay close to those of ``wanted``; zeros of ``start`` stay.

    The weights along ``axes`` share a scale. The largest weight of each scale is stored as the end of the grid, so that
    a min-max quantizer derives the same scale.
    """
    levels, largest = even_levels(bits), np.abs(start).max(axis=axes, keepdims=True)
    scale = _best_scale(start, largest, hessian, levels, axes)
    return _on_levels(start, wanted, hessian, factor, levels, scale, largest)


def spaced(start: np.ndarray, wanted: np.ndarray, hessian: np.ndarray, factor: np.ndarray, count: int) -> Stored:
    """``rounded`` to ``count`` evenly spaced levels, an odd number, with one scale for the tensor.

    At the same error they compress better than the same number of clusters, or than fewer bits per channel: frequent
    integers take few bits (entropy-coded scalar quantization; Gish and Pierce 1968, IEEE Transactions on Information
    Theory 14).
    """
    largest = np.full((1, 1, 1), np.abs(start).max())
    return _on_levels(start, wanted, hessian, factor, spaced_levels(count), _scale_of_tensor(start), largest)


def _on_levels(
    start: np.ndarray,
    wanted: np.ndarray,
    hessian: np.ndarray,
    factor: np.ndarray,
    levels: Levels,
    scale: np.ndarray,
    largest: np.ndarray,
) -> Stored:
    size = np.abs(start)
    by_feature = np.broadcast_to(scale, (start.shape[0], 1, start.shape[2]))[:, 0]
    ends = np.where((size == largest) & (size > 0), np.sign(start) * levels.end, 0.0)
    keep = start != 0

    def choose(values: np.ndarray, k: int) -> np.ndarray:
        found = levels.nearest(values, by_feature) * keep[:, k]
        chosen: np.ndarray = np.where(ends[:, k] != 0, ends[:, k], found) * by_feature
        return chosen

    kernel = polished(wanted, hessian, compensated(start, factor, choose), choose)
    return Stored(np.rint(kernel / scale), scale)


def _best_scale(
    kernel: np.ndarray, largest: np.ndarray, hessian: np.ndarray, levels: Levels, axes: tuple[int, ...]
) -> np.ndarray:
    """The scale with the least squared error of weights; weights of inputs with large variance count more."""
    full = np.where(largest > 0, largest, 1.0) / levels.end
    weight = np.diagonal(hessian, axis1=1, axis2=2)[:, :, None]
    best, lowest = full, np.full(full.shape, np.inf)
    for clip in CLIPS:
        scale = full * clip
        error = (weight * (levels.nearest(kernel, scale) * scale - kernel) ** 2).sum(axis=axes, keepdims=True)
        best, lowest = np.where(error < lowest, scale, best), np.minimum(error, lowest)
    return best
