"""Log loss: the negative logarithm of the predicted probability of the true class."""

import math

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.models.classes import real_scores
from litetuner.spaces.models.decision import CLASSIFICATION


class LogLoss(Metric):
    """sklearn.metrics.log_loss with the natural logarithm. Probabilities are clipped by the float32 epsilon.

    Multiclass probabilities are divided by their sum, because after quantization they do not sum to 1. For multilabel
    outputs, the loss is the mean over all labels.
    """

    name = "log-loss"
    direction = "minimize"
    bounded = False
    limits = (0.0, math.inf)
    tasks = CLASSIFICATION
    default_loss = "classification"

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The log loss of each sample, averaged over its positions and labels."""
        if self.decision is not None and self.decision.outputs == "scores":
            raise ConfigError(
                f"log-loss needs probabilities, and the outputs are none ({self.decision.evidence}). Use --metric roc-auc."
            )
        return np.concatenate(in_parts(self._losses, y_true, y_pred))

    def _losses(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        tiny = float(np.finfo(np.float32).eps)
        probabilities = np.clip(real_scores(y_pred, self.decision).astype(np.float64), tiny, 1 - tiny)
        if self.decision is not None and self.decision.task == "multiclass":
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            chosen = probabilities[np.arange(len(probabilities)), np.ravel(y_true)]
        else:
            chosen = np.where(np.asarray(y_true).reshape(probabilities.shape) > 0, probabilities, 1 - probabilities)
        found: np.ndarray = -np.log(chosen).reshape(len(y_true), -1).mean(axis=1)
        return found
