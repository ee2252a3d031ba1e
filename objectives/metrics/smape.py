"""Symmetric mean absolute percentage error, for labels that may be 0."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric


class SymmetricPercentageError(Metric):
    """The mean of 2 |y - p| / (|y| + |p|), between 0 and 2; where both are 0 the error is 0."""

    name = "smape"
    direction = "minimize"
    bounded = False
    limits = (0.0, 2.0)
    tasks = ("regression",)
    default_loss = "mean_absolute_error"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The error of each sample, averaged over its outputs."""
        true, found = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (y_true, y_pred))
        scale = np.abs(true) + np.abs(found)
        return np.asarray((2 * np.abs(true - found) / np.where(scale > 0, scale, 1.0)).mean(axis=1))
