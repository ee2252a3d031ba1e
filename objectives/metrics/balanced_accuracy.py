"""Balanced accuracy: the mean recall over the classes, so that a rare class counts as much as a frequent one."""

import numpy as np

from litetuner.objectives.metrics.class_pairs import class_pairs
from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.models.decision import CLASSIFICATION


class BalancedAccuracy(Metric):
    """sklearn.metrics.balanced_accuracy_score: ``recall_score(average="macro")`` over the classes in the labels."""

    name = "balanced-accuracy"
    direction = "maximize"
    bounded = True
    tasks = CLASSIFICATION
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import recall_score

        # The same value as balanced_accuracy_score, but without its warning for predicted classes that no label has.
        true, found, counts = class_pairs(y_true, y_pred, self.decision)
        how = {"labels": np.unique(true), "average": "macro", "zero_division": 0.0}
        return float(recall_score(true, found, sample_weight=counts, **how))
