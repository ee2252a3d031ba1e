"""Peak signal-to-noise ratio of images, in decibels."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts


def value_range(images: np.ndarray) -> float:
    """The value range of pixels, from the true images: 255 if a value is above 1, 2 if one is below 0, else 1."""
    return 255.0 if images.max() > 1 else 2.0 if images.min() < 0 else 1.0


class Psnr(Metric):
    """The mean of tf.image.psnr over all images, at most 100 dB each, for pixels in [0, 1], [-1, 1] or [0, 255]."""

    name = "psnr"
    direction = "maximize"
    bounded = False
    limits = (-math.inf, 100.0)
    tasks = ("regression",)
    default_loss = "mean_squared_error"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The PSNR of each image."""
        limit = value_range(y_true)

        def ratios(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            errors = np.square((np.asarray(y, np.float64) - pred.reshape(y.shape)) / limit)
            return np.minimum(-10 * np.log10(np.maximum(errors.reshape(len(y), -1).mean(axis=1), 1e-10)), 100.0)

        return np.concatenate(in_parts(ratios, y_true, y_pred))
