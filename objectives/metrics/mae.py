"""Mean absolute error."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts


class MeanAbsoluteError(Metric):
    """sklearn.metrics.mean_absolute_error, in the unit of the labels; several outputs are averaged."""

    name = "mae"
    direction = "minimize"
    bounded = False
    limits = (0.0, math.inf)
    tasks = ("regression",)
    default_loss = "mean_absolute_error"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The absolute error of each sample, averaged over its outputs."""

        def errors(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            return np.abs(y.reshape(len(y), -1).astype(np.float64) - pred.reshape(len(pred), -1)).mean(axis=1)

        return np.concatenate(in_parts(errors, y_true, y_pred))
