"""Metrics of regression, of numbers (n, ...); several outputs are averaged."""

from __future__ import annotations

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import DataError


class _Regression(Metric):
    """What all metrics of this module share."""

    bounded = False
    limits = (0.0, math.inf)
    task = "regression"
    default_loss = "mean_squared_error"


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


class MeanAbsoluteError(_Regression):
    """sklearn.metrics.mean_absolute_error, in the unit of the labels."""

    name = "mae"
    direction = "minimize"
    default_loss = "mean_absolute_error"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import mean_absolute_error

        return float(mean_absolute_error(_rows(y_true), _rows(y_pred)))

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The absolute error of each sample, averaged over its outputs."""
        return np.abs(_rows(y_true).astype(np.float64) - _rows(y_pred)).mean(axis=1)


class RootMeanSquaredError(_Regression):
    """sklearn.metrics.root_mean_squared_error, in the unit of the labels."""

    name = "rmse"
    direction = "minimize"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import root_mean_squared_error

        return float(root_mean_squared_error(_rows(y_true), _rows(y_pred)))


class R2(_Regression):
    """sklearn.metrics.r2_score: the share of the labels' variance that predictions explain; 1 at best."""

    name = "r2"
    direction = "maximize"
    limits = (-math.inf, 1.0)

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import r2_score

        if len(y_true) < 2:
            raise DataError(f"r2 needs at least two samples, got {len(y_true)}. Use --metric mae.")
        return float(r2_score(_rows(y_true), _rows(y_pred)))
