"""Mean intersection over union: how well predicted regions of each class cover the true ones, as in segmentation."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.models.classes import class_numbers


class MeanIou(Metric):
    """sklearn.metrics.jaccard_score with average="macro", as Keras's MeanIoU: over all places of all samples together.

    A class that is neither in labels nor predictions does not count; of a binary model both classes do.
    """

    name = "mean-iou"
    direction = "maximize"
    bounded = True
    tasks = ("binary", "multiclass")
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import jaccard_score

        found = class_numbers(y_pred, self.decision)
        return float(jaccard_score(np.ravel(y_true), found.ravel(), average="macro", zero_division=0.0))
