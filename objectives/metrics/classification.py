"""Metrics of classifiers, of class numbers (n, ...) and raw outputs (n, ..., classes)."""

from __future__ import annotations

import numpy as np

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import ConfigError, DataError

SLACK = 0.05  # a calibrated integer output may pass 0 or 1 by a little and is still a probability


def decide(y_pred: np.ndarray) -> np.ndarray:
    """Class numbers (n,) from raw outputs (n, classes), the largest first; or from (n, 1) or (n,) of a binary model.

    Outputs (n, *places, classes) of a model that classifies every position, as in segmentation, give (n, *places).

    A binary output is positive above .5 where all values look like probabilities (within [0, 1], with a slack of .05 for
    integer outputs), else they are logits and it is positive above 0. So a model with logits must show at least one
    outside [0, 1] among the samples, which any trained one does.
    """
    scores = _columns(y_pred)
    if scores.shape[-1] > 1:
        return scores.argmax(axis=-1)
    return (scores[..., 0] > (0.5 if _in_unit_range(scores) else 0.0)).astype(np.int64)


def class_scores(y_pred: np.ndarray) -> np.ndarray:
    """Scores (n, classes) that rank samples, or places, for each class: probabilities as they are, logits through a softmax.

    A binary output (n, 1) becomes two columns, negative and positive; it needs no softmax, as only its order counts.
    """
    scores = _columns(y_pred)
    scores = scores.reshape(-1, scores.shape[-1])
    if scores.shape[1] == 1:
        return np.concatenate([-scores, scores], axis=1)
    if _in_unit_range(scores) and (np.abs(scores.sum(axis=1) - 1) < 2 * SLACK).all():
        return scores
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _columns(y_pred: np.ndarray) -> np.ndarray:
    """With classes as the last axis: that of a binary output (n,) is added."""
    scores = np.asarray(y_pred)
    return scores[:, None] if scores.ndim == 1 else scores


def _in_unit_range(scores: np.ndarray) -> bool:
    return bool(scores.min() >= -SLACK and scores.max() <= 1 + SLACK)


class _Classification(Metric):
    """What all metrics of this module share."""

    direction = "maximize"
    bounded = True
    task = "classification"
    default_loss = "classification"


class Accuracy(_Classification):
    """sklearn.metrics.accuracy_score of the decided classes; see ``decide`` for binary outputs."""

    name = "accuracy"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(np.ravel(y_true), decide(y_pred).ravel()))

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """1 where the class is right, else 0; the share of right places where a sample has many."""
        return (decide(y_pred) == y_true).reshape(len(y_true), -1).mean(axis=1)


class BalancedAccuracy(_Classification):
    """sklearn.metrics.balanced_accuracy_score: ``recall_score(average="macro")`` over the classes that occur in the labels."""

    name = "balanced-accuracy"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import recall_score

        # The same value as balanced_accuracy_score, which warns of predicted classes that the labels do not hold.
        true, found = np.ravel(y_true), decide(y_pred).ravel()
        return float(recall_score(true, found, labels=np.unique(true), average="macro", zero_division=0.0))


class MacroF1(_Classification):
    """sklearn.metrics.f1_score with average="macro"; a class that is neither in labels nor predictions does not count."""

    name = "macro-f1"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(np.ravel(y_true), decide(y_pred).ravel(), average="macro", zero_division=0.0))


class RocAuc(_Classification):
    """sklearn.metrics.roc_auc_score; several classes are averaged one-vs-rest over those that occur in the labels."""

    name = "roc-auc"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        scores, labels = class_scores(y_pred), np.unique(y_true)
        present = np.array([1]) if scores.shape[1] == 2 else labels
        if len(labels) < 2:
            raise DataError(
                "roc-auc needs samples of at least two classes, the labels hold one. Use --metric accuracy."
            )
        is_class = np.ravel(y_true)[:, None] == present[None, :]
        # As indicator columns, since quantized probabilities do not sum to exactly 1, which multi_class="ovr" insists on.
        return float(roc_auc_score(is_class, scores[:, present], average="macro"))


class Top5(_Classification):
    """sklearn.metrics.top_k_accuracy_score with k=5. Among equal outputs the later class counts as the higher, as there."""

    name = "top-5"

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        from sklearn.metrics import top_k_accuracy_score

        scores = self._checked(y_pred)
        return float(top_k_accuracy_score(np.ravel(y_true), scores, k=5, labels=np.arange(scores.shape[1])))

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """1 where the class is among the five highest, else 0."""
        highest = np.argsort(self._checked(y_pred), axis=1, kind="stable")[:, -5:]
        return (highest == np.ravel(y_true)[:, None]).any(axis=1).reshape(len(y_true), -1).mean(axis=1)

    def _checked(self, y_pred: np.ndarray) -> np.ndarray:
        if y_pred.ndim < 2 or y_pred.shape[-1] < 6:
            raise ConfigError(
                f"top-5 needs a model of at least 6 classes, its output is {y_pred.shape[1:]}. Use --metric accuracy."
            )
        return y_pred.reshape(-1, y_pred.shape[-1])
