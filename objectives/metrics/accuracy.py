"""Accuracy: the share of samples whose class is named correctly."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts
from litetuner.spaces.models.classes import class_numbers
from litetuner.spaces.models.decision import CLASSIFICATION


class Accuracy(Metric):
    """sklearn.metrics.accuracy_score of the decided classes; see ``decide`` for binary outputs."""

    name = "accuracy"
    direction = "maximize"
    bounded = True
    tasks = CLASSIFICATION
    default_loss = "classification"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """1 where the class is right, else 0; the share of right places where a sample has many."""

        def right(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            return (class_numbers(pred, self.decision) == y).reshape(len(y), -1).mean(axis=1)

        return np.concatenate(in_parts(right, y_true, y_pred))
