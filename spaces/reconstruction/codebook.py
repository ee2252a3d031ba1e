"""Weight clustering: a few values for all weights of a tensor, chosen so that the layer's outputs change little."""

import numpy as np

from litetuner.spaces.reconstruction.compensation import Choose, compensated, polished
from litetuner.spaces.reconstruction.grid import Levels, Stored

END = 127  # the largest int8 integer
REFITS = 3
_BINS = 400
_ROUNDS = 40


def clustered(start: np.ndarray, wanted: np.ndarray, hessian: np.ndarray, factor: np.ndarray, count: int) -> Stored:
    """A kernel with at most ``count`` distinct values on an int8 grid with one scale.

    Zeros of ``start`` stay, and zero then is one of the values. The values start from k-means in which inputs of large
    variance count more. Then weights are assigned in order, with error compensation. Values and assignment are then
    refined alternately.
    """
    keep = start != 0
    zero = not keep.all()
    importance = np.broadcast_to(np.diagonal(hessian, axis1=1, axis2=2)[:, :, None], start.shape)
    if not keep.any():
        return Stored(np.zeros_like(start), np.ones((1, 1, 1)))
    centers = weighted_means(start[keep], importance[keep], count - zero)
    kernel = compensated(start, factor, _chooser(centers, keep))
    for _ in range(REFITS):
        kernel = polished(wanted, hessian, kernel, _chooser(centers, keep))
        used = np.setdiff1d(kernel, 0.0)
        centers = _refitted(kernel, used, wanted, hessian)
        places = np.searchsorted(used, kernel).clip(max=used.size - 1)
        kernel = np.where(kernel == 0, 0.0, centers[places])
    kernel = polished(wanted, hessian, kernel, _chooser(centers, keep))
    scale = np.abs(kernel).max() / END
    return Stored(np.rint(kernel / scale), np.full((1, 1, 1), scale))


def assigned(kernel: np.ndarray, hessian: np.ndarray, factor: np.ndarray | None, count: int) -> Stored:
    """``clustered`` in one pass, for estimates: k-means, then assignment with error compensation.

    Without ``factor``, each weight takes the nearest value.
    """
    keep = kernel != 0
    if not keep.any():
        return Stored(np.zeros_like(kernel), np.ones((1, 1, 1)))
    importance = np.broadcast_to(np.diagonal(hessian, axis1=1, axis2=2)[:, :, None], kernel.shape)
    centers = weighted_means(kernel[keep], importance[keep], count - (not keep.all()))
    scale = np.full((1, 1, 1), np.abs(centers).max() / END)
    if factor is None:
        levels = Levels(np.unique(np.rint(centers / scale[0, 0, 0])), END)
        return Stored(levels.nearest(kernel, scale) * keep, scale)
    return Stored(np.rint(compensated(kernel, factor, _chooser(centers, keep)) / scale), scale)


def weighted_means(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """The sorted centers of weighted one-dimensional k-means; fewer than ``count`` if fewer values are distinct."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order] + 1e-30
    found = np.unique(values)
    if found.size <= count:
        return found
    mass, edges = np.histogram(values, bins=_BINS, weights=weights)
    spread = np.cumsum(np.cbrt(mass))  # the best density of centers is the cube root of the density of values
    centers = np.interp((np.arange(count) + 0.5) / count, spread / spread[-1], (edges[1:] + edges[:-1]) / 2)
    # The values of one center are adjacent after sorting, so their sum is a difference of two cumulative sums.
    total, product = (np.concatenate(([0.0], np.cumsum(each))) for each in (weights, weights * values))
    before = None
    for _ in range(_ROUNDS):
        ends = values.searchsorted((centers[1:] + centers[:-1]) / 2, side="right")
        if before is not None and np.array_equal(ends, before):
            break
        before, ends = ends, np.concatenate(([0], ends, [values.size]))
        sums, masses = (each[ends[1:]] - each[ends[:-1]] for each in (product, total))
        centers = np.sort(np.where(ends[1:] > ends[:-1], sums / np.maximum(masses, 1e-300), centers))
    return np.unique(centers)


def _chooser(centers: np.ndarray, keep: np.ndarray) -> Choose:
    """Makes a function that chooses the nearest center, rounded to the int8 grid of the largest center; zeros stay."""
    scale = np.abs(centers).max() / END
    levels = Levels(np.unique(np.rint(centers / scale)), END)

    def choose(values: np.ndarray, k: int) -> np.ndarray:
        found: np.ndarray = levels.nearest(values, scale) * scale * keep[:, k]
        return found

    return choose


def _refitted(kernel: np.ndarray, values: np.ndarray, wanted: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """The values that bring outputs closest to those of ``wanted``; which weight has which value does not change."""
    right = hessian @ wanted
    members = [(kernel == value).astype(np.float64) for value in values]
    products = [hessian @ member for member in members]
    normal = np.array([[float(np.sum(member * product)) for product in products] for member in members])
    sums = np.array([float(np.sum(member * right)) for member in members])
    ridge = 1e-6 * np.trace(normal) / len(values)
    solved: np.ndarray = np.linalg.solve(normal + ridge * np.eye(len(values)), sums + ridge * values)
    return solved
