"""Mean intersection over union (IoU) of the predicted and true regions of each class, for segmentation."""

import numpy as np

from litetuner.objectives.metrics.class_pairs import class_pairs
from litetuner.objectives.metrics.metric import Metric


class MeanIou(Metric):
    """sklearn.metrics.jaccard_score with average="macro" over all positions of all samples, like MeanIoU of Keras.

    A class that is neither in labels nor predictions does not count. For a binary model, both classes count.
    """

    name = "mean-iou"
    direction = "maximize"
    bounded = True
    tasks = ("binary", "multiclass")
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import jaccard_score

        true, found, counts = class_pairs(y_true, y_pred, self.decision)
        return float(jaccard_score(true, found, average="macro", sample_weight=counts, zero_division=0.0))
