"""Top-5 accuracy: the share of samples whose class is among the five highest outputs."""

from __future__ import annotations

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import ConfigError


class Top5(Metric):
    """sklearn.metrics.top_k_accuracy_score with k=5. Among equal outputs the later class counts as the higher, as there."""

    name = "top-5"
    direction = "maximize"
    bounded = True
    task = "classification"
    default_loss = "classification"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import top_k_accuracy_score

        scores = _checked(y_pred)
        return float(top_k_accuracy_score(np.ravel(y_true), scores, k=5, labels=np.arange(scores.shape[1])))

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """1 where the class is among the five highest, else 0."""
        highest = np.argsort(_checked(y_pred), axis=1, kind="stable")[:, -5:]
        return (highest == np.ravel(y_true)[:, None]).any(axis=1).reshape(len(y_true), -1).mean(axis=1)


def _checked(y_pred: np.ndarray) -> np.ndarray:
    if y_pred.ndim < 2 or y_pred.shape[-1] < 6:
        raise ConfigError(
            f"top-5 needs a model of at least 6 classes, its output is {y_pred.shape[1:]}. Use --metric accuracy."
        )
    return y_pred.reshape(-1, y_pred.shape[-1])
