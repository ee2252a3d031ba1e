"""Accuracy: the share of samples whose class is named correctly."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.models.classes import class_numbers
from litetuner.spaces.models.decision import CLASSIFICATION


class Accuracy(Metric):
    """sklearn.metrics.accuracy_score of the decided classes; see ``decide`` for binary outputs."""

    name = "accuracy"
    direction = "maximize"
    bounded = True
    tasks = CLASSIFICATION
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(np.ravel(y_true), class_numbers(y_pred, self.decision).ravel()))

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """1 where the class is right, else 0; the share of right places where a sample has many."""
        return (class_numbers(y_pred, self.decision) == y_true).reshape(len(y_true), -1).mean(axis=1)
