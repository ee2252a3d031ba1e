"""Balanced accuracy: the mean of the classes' recalls, so that a rare class counts as much as a frequent one."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.models.classes import class_numbers
from litetuner.spaces.models.decision import CLASSIFICATION


class BalancedAccuracy(Metric):
    """sklearn.metrics.balanced_accuracy_score: ``recall_score(average="macro")`` over the classes that occur in the labels."""

    name = "balanced-accuracy"
    direction = "maximize"
    bounded = True
    tasks = CLASSIFICATION
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import recall_score

        # The same value as balanced_accuracy_score, which warns of predicted classes that the labels do not hold.
        true, found = np.ravel(y_true), class_numbers(y_pred, self.decision).ravel()
        return float(recall_score(true, found, labels=np.unique(true), average="macro", zero_division=0.0))
