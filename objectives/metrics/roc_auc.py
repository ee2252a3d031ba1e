"""Area under the ROC curve: how well outputs rank samples of a class above the others, whatever the threshold."""

from __future__ import annotations

import numpy as np

from litetuner.objectives.metrics.decisions import class_scores
from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import DataError


class RocAuc(Metric):
    """sklearn.metrics.roc_auc_score; several classes are averaged one-vs-rest over those that occur in the labels."""

    name = "roc-auc"
    direction = "maximize"
    bounded = True
    task = "classification"
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        scores = class_scores(y_pred)
        present = np.array([1]) if scores.shape[1] == 2 else np.unique(y_true)
        if len(np.unique(y_true)) < 2:
            raise DataError(
                "roc-auc needs samples of at least two classes, the labels hold one. Use --metric accuracy."
            )
        is_class = np.ravel(y_true)[:, None] == present[None, :]
        # As indicator columns, since quantized probabilities do not sum to exactly 1, which multi_class="ovr" insists on.
        return float(roc_auc_score(is_class, scores[:, present], average="macro"))
