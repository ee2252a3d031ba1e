"""Calibration: the training samples on which activation ranges are measured.

More samples are not always better, since ranges only grow.
"""

from collections.abc import Callable

import numpy as np

from litetuner.spaces.data.named_arrays import all_finite, parts
from litetuner.spaces.errors import DataError, Refused, nearest

SELECTIONS = ("balanced", "random", "spread", "extremes")
COUNTS = (0, 50, 300, 1000)  # 0: the number given by --calibration
POOL = 2000  # number of drawn samples that "spread" and "extremes" select from


def check_calibration(step: str, count: int, selection: str) -> None:
    """Raise ``Refused`` for an invalid number of samples or an unknown selection."""
    if count < 0:
        raise Refused(f"{step}: calibration must be at least 1, or 0 for what --calibration says; got {count}")
    if selection not in SELECTIONS:
        raise Refused(
            f"{step}: there is no selection {selection!r}{nearest(selection, SELECTIONS)}; known: {', '.join(SELECTIONS)}"
        )


def calibration_details(step: str, count: int, selection: str) -> list[str]:
    """The calibration of a step as text; empty for the default."""
    if not count and selection == "balanced":
        return []
    return [f"{step}: calibrated on {count or 'the usual number of'} samples ({selection})"]


def select_samples(
    x: np.ndarray,
    y: np.ndarray,
    count: int,
    selection: str,
    seed: int,
    outputs: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Select at most ``count`` inputs (m, *sample) from the train split (``x``, ``y``), in the order of the split.

    ``balanced`` takes classes in turn, ``random`` draws by ``seed``. The other selections use a pool of 2,000 drawn
    samples. ``spread`` repeatedly takes the sample whose output (``outputs``: (n, *sample) -> (n, ...)) is farthest
    from those of all samples taken so far (greedy k-center, Gonzalez 1985). ``extremes`` takes those whose inputs are
    farthest from the mean sample. Raises ``DataError`` without train samples, and for values that are not finite.
    """
    if selection == "balanced" or len(x) == 0:
        return calibration_samples(x, y, count, seed)
    order = np.random.default_rng(seed).permutation(len(x))
    if selection != "random":
        pool = np.sort(order[:POOL])
        samples = np.asarray(x[pool])
        if selection == "spread":
            if outputs is None:
                raise ValueError("spread needs the outputs of the model")
            order = pool[_k_centers(np.asarray(outputs(samples), np.float64).reshape(len(pool), -1), count)]
        else:
            flat = np.concatenate([part.reshape(len(pool), -1) for part in parts(samples)], axis=1)
            order = pool[_farthest_from_mean(flat.astype(np.float64))]
    chosen = np.asarray(x[np.sort(order[:count])])
    if not all_finite(chosen):
        raise DataError("the train samples hold NaN or infinity. Prepare the data again.")
    return chosen


def calibration_samples(x: np.ndarray, y: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most ``count`` train inputs (m, *sample), drawn by ``seed``; classes take turns, however rare they are.

    Raises ``DataError`` if there are none, or some are not finite: one NaN would crash the runtime later.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if len(x) == 0:
        raise DataError(
            "integer quantization is calibrated on train samples, and there are none: search and test samples may not be used. "
            "Give x_train and y_train (some hundreds are enough), or use techniques without calibration (float16, dynamic range)."
        )
    order = np.random.default_rng(seed).permutation(len(x))
    if y.dtype.kind == "i" and y.ndim == 1:
        _, classes = np.unique(y[order], return_inverse=True)
        by_class = np.argsort(classes, kind="stable")
        turn = np.empty(len(order), int)  # number of earlier samples of the same class
        starts = np.concatenate([[0], np.cumsum(np.bincount(classes))[:-1]])
        turn[by_class] = np.arange(len(order)) - starts[classes[by_class]]
        order = order[np.argsort(turn, kind="stable")]
    samples = np.asarray(x[np.sort(order[:count])])
    if not all_finite(samples):
        raise DataError(
            "the train samples hold NaN or infinity, but had none when they were prepared. Prepare the data again."
        )
    return samples


def _k_centers(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of ``count`` points (n, d), each the farthest from all points before it.

    The first one is the farthest from the mean.
    """
    distance = np.linalg.norm(points - points.mean(axis=0), axis=1)
    taken: list[int] = [int(distance.argmax())]
    distance = np.linalg.norm(points - points[taken[0]], axis=1)
    while len(taken) < min(count, len(points)):
        distance[taken[-1]] = -1.0
        taken.append(int(distance.argmax()))
        distance = np.where(
            distance < 0, distance, np.minimum(distance, np.linalg.norm(points - points[taken[-1]], axis=1))
        )
    return np.asarray(taken)


def _farthest_from_mean(points: np.ndarray) -> np.ndarray:
    spread = points.std(axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.argsort(-np.square(scaled).mean(axis=1), kind="stable")
