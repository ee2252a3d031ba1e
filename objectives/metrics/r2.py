"""R2: the share of the labels' variance that the predictions explain. The maximum is 1; there is no lower bound."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import DataError


class R2(Metric):
    """sklearn.metrics.r2_score; several outputs are averaged."""

    name = "r2"
    direction = "maximize"
    bounded = False
    limits = (-math.inf, 1.0)
    tasks = ("regression",)
    default_loss = "mean_squared_error"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import r2_score

        if len(y_true) < 2:
            raise DataError(f"r2 needs at least two samples, got {len(y_true)}. Use --metric mae.")
        return float(r2_score(y_true.reshape(len(y_true), -1), y_pred.reshape(len(y_pred), -1)))
