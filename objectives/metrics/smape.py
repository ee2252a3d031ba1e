"""Symmetric mean absolute percentage error, for labels that may be 0."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts


class SymmetricPercentageError(Metric):
    """The mean of 2 |y - p| / (|y| + |p|), between 0 and 2. If both values are 0, the error is 0."""

    name = "smape"
    direction = "minimize"
    bounded = False
    limits = (0.0, 2.0)
    tasks = ("regression",)
    default_loss = "mean_absolute_error"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The error of each sample, averaged over its outputs."""

        def errors(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            true, found = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (y, pred))
            scale = np.abs(true) + np.abs(found)
            return (2 * np.abs(true - found) / np.where(scale > 0, scale, 1.0)).mean(axis=1)

        return np.concatenate(in_parts(errors, y_true, y_pred))
