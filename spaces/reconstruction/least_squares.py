"""Corrections of linear maps by least squares that stay near the map there is; how near is chosen on rows left out."""

import dataclasses

import numpy as np

# Shares of the mean variance of what is read. The strongest is close to no change.
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_CHUNK = 2048  # rows in double precision at a time


@dataclasses.dataclass(frozen=True)
class Correction:
    """What to add to a kernel (maps, features, outputs) and to its bias (maps, outputs).

    ``before`` and ``after`` are squared errors on the rows that were left out, as shares of the variance of ``wanted``.
    """

    kernel: np.ndarray
    bias: np.ndarray
    before: float
    after: float


def correction(
    read: np.ndarray, missing: np.ndarray, kept_out: np.ndarray, variance: float, biased: bool
) -> Correction | None:
    """The correction of maps that brings ``read`` (maps, rows, features) closest to what is ``missing`` (maps, rows, outputs).

    ``kept_out`` is true for rows that judge the strength of the ridge towards no correction; afterwards all rows are used.
    ``variance`` of the whole target makes errors shares. Gives ``None`` where no strength makes the error smaller.
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
    """Sums of products of (features, one, outputs) over rows, in double precision: (maps, all, all)."""
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
    if biased:  # the bias takes the means, and is not held back
        products = products - sums[:, :, None] * sums[:, None, :] / count
        wanted = wanted - sums[:, :, None] * totals[:, None, :] / count
    mean = np.trace(products, axis1=1, axis2=2) / features
    ridge = strength * np.maximum(mean, 1e-9 * count)  # what is always zero is left alone
    kernel = np.linalg.solve(products + ridge[:, None, None] * np.eye(features), wanted)
    bias = (totals - np.einsum("gf,gfo->go", sums, kernel)) / count if biased else np.zeros_like(totals)
    return np.concatenate([kernel, bias[:, None]], axis=1)


def _error(moments: np.ndarray, solution: np.ndarray, features: int) -> float:
    """The sum of squares that a correction leaves."""
    inside, across = moments[:, : features + 1, : features + 1], moments[:, : features + 1, features + 1 :]
    squares = np.trace(moments[:, features + 1 :, features + 1 :], axis1=1, axis2=2).sum()
    return float(squares - 2 * np.sum(across * solution) + np.sum(solution * (inside @ solution)))
