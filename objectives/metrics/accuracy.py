"""Accuracy: the share of samples whose class is predicted correctly."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts
from litetuner.spaces.models.classes import class_numbers
from litetuner.spaces.models.decision import CLASSIFICATION


class Accuracy(Metric):
    """sklearn.metrics.accuracy_score of the predicted classes, which ``class_numbers`` reads from the outputs."""

    name = "accuracy"
    direction = "maximize"
    bounded = True
    tasks = CLASSIFICATION
    default_loss = "classification"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """1 if the class is correct, else 0. For samples with several positions (pixels): the share that is correct."""

        def right(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            return (class_numbers(pred, self.decision) == y).reshape(len(y), -1).mean(axis=1)

        return np.concatenate(in_parts(right, y_true, y_pred))
