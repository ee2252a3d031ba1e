"""Root mean squared error."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts


class RootMeanSquaredError(Metric):
    """sklearn.metrics.root_mean_squared_error, in the unit of the labels; several outputs are averaged."""

    name = "rmse"
    direction = "minimize"
    bounded = False
    limits = (0.0, math.inf)
    tasks = ("regression",)
    default_loss = "mean_squared_error"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        def squares(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            return np.square(y.reshape(len(y), -1).astype(np.float64) - pred.reshape(len(pred), -1)).sum(axis=0)

        return float(np.sqrt(np.sum(in_parts(squares, y_true, y_pred), axis=0) / len(y_true)).mean())
