"""Second moments of what a layer reads, and what follows from them: where errors cost least, and what makes up for them."""

import dataclasses

import numpy as np

from litetuner.spaces.errors import BuildFailed

DAMPING = 0.01  # of the mean variance of a layer's inputs, added to each of them
LEAST = 1e-6  # of the largest damping among a layer's maps: one that reads constants, as behind dead channels, must not count


@dataclasses.dataclass(frozen=True)
class Moments:
    """Of what a layer reads around its mean, in float64.

    ``hessian`` (maps, features, features) is damped. ``drift`` is the covariance of what is read now with what the float
    model would read beyond it; ``mean`` and ``float_mean`` (maps, features) are of either.
    """

    hessian: np.ndarray
    drift: np.ndarray
    mean: np.ndarray
    float_mean: np.ndarray


def moments(read: np.ndarray, original: np.ndarray) -> Moments:
    """Of rows (maps, rows, features) that are read now, and those at the same places in the float model.

    Both may be the same array, where nothing was changed yet.
    """
    mean = read.mean(axis=1, dtype=np.float64)
    centered = read - mean[:, None].astype(read.dtype)
    transposed = centered.transpose(0, 2, 1)
    count = read.shape[1]
    hessian = (transposed @ centered).astype(np.float64) / count
    if original is read:
        return Moments(damped(hessian), np.zeros_like(hessian), mean, mean)
    float_mean = original.mean(axis=1, dtype=np.float64)
    beyond = original - float_mean[:, None].astype(read.dtype) - centered
    return Moments(damped(hessian), (transposed @ beyond).astype(np.float64) / count, mean, float_mean)


def damped(products: np.ndarray) -> np.ndarray:
    """Products with ``DAMPING`` of their mean on the diagonal; the unit matrix where all maps read nothing but constants."""
    size = products.shape[-1]
    share = DAMPING * np.trace(products, axis1=1, axis2=2) / size
    ridge: np.ndarray = np.maximum(share, LEAST * share.max() or 1.0)[:, None, None] * np.eye(size)
    return products + ridge


def target(kernel: np.ndarray, found: Moments) -> np.ndarray:
    """The kernel (maps, features, outputs) that gives, of what is read now, what the float model gave, as far as it can."""
    return kernel + np.linalg.solve(found.hessian, found.drift @ kernel)


def corrected_bias(
    bias: np.ndarray, before: np.ndarray, after: np.ndarray, found: Moments, grouped: bool
) -> np.ndarray:
    """The bias (outputs,) with which a changed kernel keeps the mean of every output."""
    change = np.einsum("gk,gkm->gm", found.float_mean, before) - np.einsum("gk,gkm->gm", found.mean, after)
    return bias + (change.ravel() if grouped else change.sum(axis=0))


def inverse_factor(hessian: np.ndarray, layer: str) -> np.ndarray:
    """The upper Cholesky factor of the inverse: row k says how to make up for weight k with those behind it.

    Raises ``BuildFailed`` with the layer's name where there is none.
    """
    try:
        if not np.isfinite(hessian).all():
            raise np.linalg.LinAlgError("they are not finite")
        inverse = np.linalg.inv(hessian)
        factor: np.ndarray = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2).transpose(0, 2, 1)
    except np.linalg.LinAlgError as error:
        raise BuildFailed(
            f"layer {layer} cannot be reconstructed from what it reads: {error}. Leave it out, or check the data."
        ) from error
    return factor


def squared_error(change: np.ndarray, hessian: np.ndarray) -> float:
    """The mean squared error of all outputs together that a change of the kernel makes."""
    return float(np.sum(change * (hessian @ change)))
