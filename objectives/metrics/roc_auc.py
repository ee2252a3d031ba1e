"""Area under the ROC curve: how well outputs rank samples of a class above the others, independent of a threshold."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import DataError
from litetuner.spaces.models.classes import class_scores
from litetuner.spaces.models.decision import CLASSIFICATION


class RocAuc(Metric):
    """sklearn.metrics.roc_auc_score. Multiclass: the mean of one-vs-rest AUC over the classes that occur in the labels.

    Multilabel: the mean AUC over the labels that some samples have and others do not have.
    """

    name = "roc-auc"
    direction = "maximize"
    bounded = True
    tasks = CLASSIFICATION
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        scores = class_scores(y_pred, self.decision)
        if self.decision is not None and self.decision.task == "multilabel":
            is_class = np.asarray(y_true).reshape(-1, scores.shape[1]) > 0
        else:
            present = np.array([1]) if scores.shape[1] == 2 else np.unique(y_true)
            # Indicator columns, because multi_class="ovr" requires that probabilities sum to 1: quantized ones do not.
            is_class, scores = np.ravel(y_true)[:, None] == present[None, :], scores[:, present]
        ranked = is_class.any(axis=0) & ~is_class.all(axis=0)
        if not ranked.any():
            raise DataError(
                "roc-auc needs samples of at least two classes, the labels hold one. Use --metric accuracy."
            )
        return float(roc_auc_score(is_class[:, ranked], scores[:, ranked], average="macro"))
