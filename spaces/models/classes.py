"""Class numbers and scores from the raw outputs of a classifier, according to its decision (``decision.py``)."""

import numpy as np

from litetuner.spaces.models.decision import Decision


def class_numbers(y_pred: np.ndarray, decision: Decision | None) -> np.ndarray:
    """Class numbers (n, *places) from the raw outputs of a classifier.

    The outputs are (n, *places, classes), or (n, *places, 1) or (n,) for a binary model. With several labels at once
    the result is 0 and 1 in the shape of the outputs.
    """
    scores, known = _columns(y_pred), _known(decision)
    if known.task == "multiclass":
        return scores.argmax(axis=-1)
    positive = (scores > known.threshold).astype(np.int64)
    return positive if known.task == "multilabel" else positive[..., 0]


def class_scores(y_pred: np.ndarray, decision: Decision | None) -> np.ndarray:
    """Scores (n, classes) of samples, or of positions, by which they are ranked; logits become probabilities.

    A binary output (n, 1) becomes two columns, negative and positive.
    """
    scores = real_scores(y_pred, decision)
    if scores.shape[1] == 1 and _known(decision).task == "binary":
        return np.concatenate([1 - scores, scores], axis=1)
    return scores


def real_scores(y_pred: np.ndarray, decision: Decision | None) -> np.ndarray:
    """Outputs (n, units), with positions as samples. Logits become probabilities, other outputs do not change."""
    from scipy.special import expit, softmax

    scores = _columns(y_pred)
    scores = scores.reshape(-1, scores.shape[-1])
    link = _known(decision).link
    if link == "softmax":
        found: np.ndarray = softmax(scores.astype(np.float64), axis=1)
        return found
    return expit(scores.astype(np.float64)) if link == "sigmoid" else scores


def _known(decision: Decision | None) -> Decision:
    if decision is None:
        raise ValueError("a metric of classes needs to know how outputs are read: find_metric(name, decision)")
    return decision


def _columns(y_pred: np.ndarray) -> np.ndarray:
    """The outputs with classes as the last axis; for a binary output (n,) that axis is added."""
    scores = np.asarray(y_pred)
    return scores[:, None] if scores.ndim == 1 else scores
