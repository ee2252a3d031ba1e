"""Mean absolute error."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric


class MeanAbsoluteError(Metric):
    """sklearn.metrics.mean_absolute_error, in the unit of the labels; several outputs are averaged."""

    name = "mae"
    direction = "minimize"
    bounded = False
    limits = (0.0, math.inf)
    tasks = ("regression",)
    default_loss = "mean_absolute_error"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import mean_absolute_error

        return float(mean_absolute_error(y_true.reshape(len(y_true), -1), y_pred.reshape(len(y_pred), -1)))

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The absolute error of each sample, averaged over its outputs."""
        errors = y_true.reshape(len(y_true), -1).astype(np.float64) - y_pred.reshape(len(y_pred), -1)
        return np.abs(errors).mean(axis=1)
