"""Class numbers and scores from the raw output of a classifier."""

from __future__ import annotations

import numpy as np

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
