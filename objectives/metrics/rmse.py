"""Root mean squared error."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric


class RootMeanSquaredError(Metric):
    """sklearn.metrics.root_mean_squared_error, in the unit of the labels; several outputs are averaged."""

    name = "rmse"
    direction = "minimize"
    bounded = False
    limits = (0.0, math.inf)
    tasks = ("regression",)
    default_loss = "mean_squared_error"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import root_mean_squared_error

        return float(root_mean_squared_error(y_true.reshape(len(y_true), -1), y_pred.reshape(len(y_pred), -1)))
