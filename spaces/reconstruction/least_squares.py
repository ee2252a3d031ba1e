"""Corrections of linear maps by ridge regression towards the existing map; held-out rows choose the ridge strength."""

import dataclasses

import numpy as np

# Ridge strengths as shares of the mean variance of the inputs. The largest one changes almost nothing.
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_CHUNK = 2048  # rows that are converted to double precision at a time


@dataclasses.dataclass(frozen=True)
class Correction:
    """Values to add to a kernel (maps, features, outputs) and to its bias (maps, outputs).

    ``before`` and ``after`` are squared errors on the held-out rows, as shares of the target's variance.
    """

    kernel: np.ndarray
    bias: np.ndarray
    before: float
    after: float


def correction(
    read: np.ndarray, missing: np.ndarray, kept_out: np.ndarray, variance: float, biased: bool
) -> Correction | None:
    """The correction of maps with inputs ``read`` (maps, rows, features) that fits ``missing`` (maps, rows, outputs).

    ``missing`` is the target minus the current outputs. ``kept_out`` is true for held-out rows: they choose the
    strength of the ridge, and the final fit uses all rows. Errors are divided by ``variance``, that of the whole
    target. Returns ``None`` if no strength reduces the error.
    """
    features = read.shape[2]
    sides = [_moments(read, missing, rows) for rows in (np.flatnonzero(~kept_out), np.flatnonzero(kept_out))]
    (fitted, count), (judged, judging) = sides
    if not count or not judging:
        return None
    whole = judging * max(variance, 1e-12) * missing.shape[0] * missing.shape[2]
    before = _error(judged, np.zeros((read.shape[0], features + 1, missing.shape[2])), features) / whole
    errors = [
        _error(judged, _solve(fitted, count, features, strength, biased), features) / whole for strength in STRENGTHS
    ]
    best = int(np.argmin(errors))
    if not errors[best] < before:
        return None
    solution = _solve(fitted + judged, count + judging, features, STRENGTHS[best], biased)
    if not np.isfinite(solution).all():
        return None
    return Correction(solution[:, :features], solution[:, features], before, errors[best])


def _moments(read: np.ndarray, missing: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Sums over rows of products of (features, 1, outputs) with each other, in double precision: (maps, all, all)."""
    size = read.shape[2] + 1 + missing.shape[2]
    total = np.zeros((read.shape[0], size, size))
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        ones = np.ones((read.shape[0], len(part), 1))
        joined = np.concatenate([read[:, part], ones, missing[:, part]], axis=2, dtype=np.float64)
        total += joined.transpose(0, 2, 1) @ joined
    return total, len(rows)


def _solve(moments: np.ndarray, count: int, features: int, strength: float, biased: bool) -> np.ndarray:
    """Kernel and bias in one array (maps, features + 1, outputs)."""
    products, sums = moments[:, :features, :features], moments[:, :features, features]
    wanted, totals = moments[:, :features, features + 1 :], moments[:, features, features + 1 :]
    if biased:  # the bias fits the means and is not regularized
        products = products - sums[:, :, None] * sums[:, None, :] / count
        wanted = wanted - sums[:, :, None] * totals[:, None, :] / count
    mean = np.trace(products, axis1=1, axis2=2) / features
    ridge = strength * np.maximum(mean, 1e-9 * count)  # maps whose inputs are always zero do not change
    kernel = np.linalg.solve(products + ridge[:, None, None] * np.eye(features), wanted)
    bias = (totals - np.einsum("gf,gfo->go", sums, kernel)) / count if biased else np.zeros_like(totals)
    return np.concatenate([kernel, bias[:, None]], axis=1)


def _error(moments: np.ndarray, solution: np.ndarray, features: int) -> float:
    """The sum of squared errors that remains after a correction."""
    inside, across = moments[:, : features + 1, : features + 1], moments[:, : features + 1, features + 1 :]
    squares = np.trace(moments[:, features + 1 :, features + 1 :], axis1=1, axis2=2).sum()
    return float(squares - 2 * np.sum(across * solution) + np.sum(solution * (inside @ solution)))
