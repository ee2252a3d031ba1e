"""Area under the ROC curve of an anomaly score, such as the reconstruction error of an autoencoder."""

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import ConfigError, DataError


class AnomalyAuc(Metric):
    """sklearn.metrics.roc_auc_score for labels 0 (normal) and 1, over samples, or over group means (``g_search``).

    The score of a sample is the mean squared difference of output and input if both have the same shape, else the
    output.
    """

    name = "anomaly-auc"
    direction = "maximize"
    bounded = True
    tasks = ("raw",)
    default_loss = "classification"
    takes = ("x", "groups")

    def score(self, y_true: np.ndarray, y_pred: np.ndarray, **more: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        x, true = more["x"], np.asarray(y_true).reshape(len(y_true), -1)
        if true.shape[1] != 1 or not np.isin(true, (0, 1)).all():
            raise DataError(f"anomaly-auc needs labels 0 (normal) and 1, one a sample; they have shape {y_true.shape}.")
        if x.shape == y_pred.shape:
            scores = np.square(np.asarray(x, np.float64) - y_pred).reshape(len(x), -1).mean(axis=1)
        elif y_pred.size == len(y_pred):
            scores = y_pred.reshape(len(y_pred))
        else:
            raise ConfigError(
                f"anomaly-auc needs outputs of the shape of the inputs {x.shape[1:]}, or one score; they are {y_pred.shape[1:]}."
            )
        _, group = np.unique(more["groups"], return_inverse=True)
        sizes = np.bincount(group)
        labels = np.bincount(group, weights=true[:, 0]) > 0
        if labels.all() or not labels.any():
            raise DataError("anomaly-auc needs normal samples and anomalies, the labels hold only one of them.")
        return float(roc_auc_score(labels, np.bincount(group, weights=scores) / sizes))
