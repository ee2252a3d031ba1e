"""Second moments of a layer's inputs: the error that changed weights cause, and how other weights compensate for it."""

import dataclasses

import numpy as np

from litetuner.spaces.errors import BuildFailed

DAMPING = 0.01  # added to the variance of each input, as a share of the mean variance of the layer's inputs
# The smallest damping of a map, as a share of the largest among the layer's maps.
# It is tiny so that a map with constant inputs, as after dead channels, does not count.
LEAST = 1e-6


@dataclasses.dataclass(frozen=True)
class Moments:
    """First and second moments of a layer's inputs, in float64. Second moments are around the mean.

    ``hessian`` (maps, features, features) is the damped covariance of the current inputs. ``drift`` is the covariance
    of the current inputs with the difference between the float model's inputs and the current ones. ``mean`` and
    ``float_mean`` (maps, features) are the means of the current inputs and of the float model's inputs.
    """

    hessian: np.ndarray
    drift: np.ndarray
    mean: np.ndarray
    float_mean: np.ndarray


def moments(read: np.ndarray, original: np.ndarray) -> Moments:
    """Moments of the current inputs ``read`` (maps, rows, features) and of ``original``, the float model's inputs.

    Both have the same rows. Pass the same array twice if no layer was changed yet.
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
    """Covariances plus ``DAMPING`` times their mean variance on the diagonal, or plus 1 if all inputs are constant."""
    size = products.shape[-1]
    share = DAMPING * np.trace(products, axis1=1, axis2=2) / size
    ridge: np.ndarray = np.maximum(share, LEAST * share.max() or 1.0)[:, None, None] * np.eye(size)
    return products + ridge


def target(kernel: np.ndarray, found: Moments) -> np.ndarray:
    """The kernel (maps, features, outputs) that best reproduces the float model's outputs from the current inputs."""
    return kernel + np.linalg.solve(found.hessian, found.drift @ kernel)


def corrected_bias(
    bias: np.ndarray, before: np.ndarray, after: np.ndarray, found: Moments, grouped: bool
) -> np.ndarray:
    """The bias (outputs,) that keeps the mean of every output when the kernel changes from ``before`` to ``after``."""
    change = np.einsum("gk,gkm->gm", found.float_mean, before) - np.einsum("gk,gkm->gm", found.mean, after)
    return bias + (change.ravel() if grouped else change.sum(axis=0))


def inverse_factor(hessian: np.ndarray, layer: str) -> np.ndarray:
    """The upper Cholesky factor of the inverse. Row k says how the weights after weight k compensate for its error.

    Raises ``BuildFailed`` with the layer's name if there is no such factor.
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
    """The mean squared error that a change of the kernel causes, summed over all outputs."""
    return float(np.sum(change * (hessian @ change)))
