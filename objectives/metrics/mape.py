"""Mean absolute percentage error."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts


class MeanAbsolutePercentageError(Metric):
    """sklearn.metrics.mean_absolute_percentage_error as a fraction: 0.1 is 10 %. It is huge if a label is 0."""

    name = "mape"
    direction = "minimize"
    bounded = False
    limits = (0.0, math.inf)
    tasks = ("regression",)
    default_loss = "mean_absolute_error"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The error of each sample, averaged over its outputs."""

        def errors(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            true, found = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (y, pred))
            return (np.abs(true - found) / np.maximum(np.abs(true), np.finfo(np.float64).eps)).mean(axis=1)

        return np.concatenate(in_parts(errors, y_true, y_pred))
