"""Macro F1: the mean F1 score over the classes."""

import numpy as np

from litetuner.objectives.metrics.class_pairs import class_pairs
from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.models.classes import class_numbers
from litetuner.spaces.models.decision import CLASSIFICATION


class MacroF1(Metric):
    """sklearn.metrics.f1_score with average="macro". A class that is neither in labels nor predictions does not count.

    For multilabel outputs, every label counts.
    """

    name = "macro-f1"
    direction = "maximize"
    bounded = True
    tasks = CLASSIFICATION
    default_loss = "classification"
    average = "macro"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import f1_score

        how = {"average": self.average, "zero_division": 0.0}
        if self.decision is None or self.decision.task != "multilabel":
            true, found, counts = class_pairs(y_true, y_pred, self.decision)
            return float(f1_score(true, found, sample_weight=counts, **how))
        both = (np.asarray(y_true), class_numbers(y_pred, self.decision))
        true, found = (part.reshape(-1, part.shape[-1]).astype(int) for part in both)
        return float(f1_score(true, found, **how))
