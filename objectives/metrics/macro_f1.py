"""Macro F1: the mean of the classes' F1 scores."""

from __future__ import annotations

import numpy as np

from litetuner.objectives.metrics.decisions import decide
from litetuner.objectives.metrics.metric import Metric


class MacroF1(Metric):
    """sklearn.metrics.f1_score with average="macro"; a class that is neither in labels nor predictions does not count."""

    name = "macro-f1"
    direction = "maximize"
    bounded = True
    task = "classification"
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(np.ravel(y_true), decide(y_pred).ravel(), average="macro", zero_division=0.0))
