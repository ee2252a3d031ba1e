"""Weights are fixed one by one, and the remaining ones compensate for the error (OBQ and GPTQ, arXiv:2210.17323)."""

from collections.abc import Callable

import numpy as np

BLOCK = 32  # features whose weights are updated at once
SWEEPS = 8
MOST_WORK = 2e10  # multiplications of one sweep of ``polished``; it does not change larger layers

# (weights (maps, outputs) of a feature, index of the feature) -> their new values
Choose = Callable[[np.ndarray, int], np.ndarray]


def compensated(
    kernel: np.ndarray, factor: np.ndarray, choose: Choose, begin: Callable[[np.ndarray, slice], None] | None = None
) -> np.ndarray:
    """The kernel (maps, features, outputs) after ``choose`` has fixed the weights of every feature in order.

    ``factor`` is from ``inverse_factor``. ``begin`` is called with the weights of each block of features before they
    are fixed.
    """
    left, done = kernel.copy(), np.empty_like(kernel)
    features = kernel.shape[1]
    for start in range(0, features, BLOCK):
        part = slice(start, min(start + BLOCK, features))
        if begin is not None:
            begin(left[:, part], part)
        errors = np.empty_like(left[:, part])
        for k in range(part.start, part.stop):
            done[:, k] = choose(left[:, k], k)
            error = (left[:, k] - done[:, k]) / factor[:, k, k, None]
            errors[:, k - start] = error
            inner = slice(k + 1, part.stop)
            left[:, inner] -= factor[:, k, inner, None] * error[:, None]
        left[:, part.stop :] -= factor[:, part, part.stop :].transpose(0, 2, 1) @ errors
    return done


def polished(wanted: np.ndarray, hessian: np.ndarray, start: np.ndarray, choose: Choose) -> np.ndarray:
    """``start`` after coordinate descent towards ``wanted``: each feature is chosen again, with all others fixed."""
    values = start.copy()
    if hessian.shape[1] * values.size > MOST_WORK:
        return values
    residual = hessian @ (values - wanted)
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)
    for _ in range(SWEEPS):
        before = values.copy()
        for first in range(0, values.shape[1], BLOCK):
            part = slice(first, first + BLOCK)
            near, inner = residual[:, part].copy(), hessian[:, part, part]
            for place in range(near.shape[1]):
                k = first + place
                new = choose(values[:, k] - near[:, place] / diagonal[:, k, None], k)
                step = new - values[:, k]
                if step.any():
                    near += inner[:, :, place, None] * step[:, None]
                    values[:, k] = new
            steps = values[:, part] - before[:, part]
            if steps.any():
                residual += hessian[:, :, part] @ steps
        if np.array_equal(values, before):
            break
    return values
