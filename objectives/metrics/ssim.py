"""Structural similarity of images (Wang et al. 2004, IEEE Transactions on Image Processing 13, 600)."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts
from litetuner.objectives.metrics.psnr import value_range
from litetuner.spaces.errors import ConfigError

SIZE, SIGMA = 11, 1.5  # size and standard deviation of the Gaussian window, in pixels


class Ssim(Metric):
    """The mean of tf.image.ssim over the images, with its default window, for pixels in [0, 1], [-1, 1] or [0, 255]."""

    name = "ssim"
    direction = "maximize"
    bounded = False
    limits = (-1.0, 1.0)
    tasks = ("regression",)
    default_loss = "mean_squared_error"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The similarity of each image, averaged over its windows and channels."""
        if y_true.ndim != 4 or min(y_true.shape[1:3]) < SIZE:
            raise ConfigError(f"ssim needs images of at least {SIZE}x{SIZE} pixels, the labels are {y_true.shape[1:]}.")
        limit = value_range(y_true)
        return np.concatenate(in_parts(lambda y, pred: _similarity(y, pred, limit), y_true, y_pred))


def _similarity(y: np.ndarray, pred: np.ndarray, limit: float) -> np.ndarray:
    """The similarity of each image (n, h, w, channels), averaged over its windows and channels."""
    a, b = np.asarray(y, np.float64), np.asarray(pred, np.float64).reshape(y.shape)
    c1, c2 = (0.01 * limit) ** 2, (0.03 * limit) ** 2
    mean_a, mean_b = _windows(a), _windows(b)
    spread = _windows(a * a) + _windows(b * b) - mean_a**2 - mean_b**2
    shared = _windows(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return np.asarray((luminance * (2 * shared + c2) / (spread + c2)).mean(axis=(1, 2, 3)))


def _windows(images: np.ndarray) -> np.ndarray:
    """Gaussian means (n, h - 10, w - 10, channels) of all windows inside the images (n, h, w, channels)."""
    from scipy.ndimage import correlate1d

    half = SIZE // 2
    weights = np.exp(-np.square(np.arange(SIZE) - half) / (2 * SIGMA**2))
    rows = correlate1d(images, weights / weights.sum(), axis=1)
    found: np.ndarray = correlate1d(rows, weights / weights.sum(), axis=2)[:, half:-half, half:-half]
    return found
