"""What a classifier's raw output says: class numbers, probabilities."""

from __future__ import annotations

import numpy as np

from litetuner.spaces.errors import DataError

SLACK = 0.05  # a calibrated integer output may pass 0 or 1 by a little and is still a probability


def decide(y_pred: np.ndarray) -> np.ndarray:
    """Class numbers (n,) from raw outputs (n, classes), the largest first; or from (n, 1) or (n,) of a binary model.

    A binary output is positive above .5 where all values look like probabilities (within [0, 1], with a slack of .05 for
    integer outputs), else they are logits and it is positive above 0. So a model with logits must show at least one
    outside [0, 1] among the samples, which any trained one does.
    """
    scores = _rows(y_pred)
    if scores.shape[1] > 1:
        return scores.argmax(axis=1)
    return (scores[:, 0] > (0.5 if _in_unit_range(scores) else 0.0)).astype(np.int64)


def class_scores(y_pred: np.ndarray) -> np.ndarray:
    """Scores (n, classes) that rank samples for each class: probabilities as they are, logits through a softmax.

    A binary output (n, 1) becomes two columns, negative and positive; it needs no softmax, as only its order counts.
    """
    scores = _rows(y_pred)
    if scores.shape[1] == 1:
        return np.concatenate([-scores, scores], axis=1)
    if _in_unit_range(scores) and (np.abs(scores.sum(axis=1) - 1) < 2 * SLACK).all():
        return scores
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _rows(y_pred: np.ndarray) -> np.ndarray:
    scores = np.asarray(y_pred)
    if scores.ndim == 1:
        return scores[:, None]
    if scores.ndim != 2:
        raise DataError(
            f"a classification metric needs outputs of shape (n, classes), got {scores.shape}. "
            "Give your own metric with --metric module:function."
        )
    return scores


def _in_unit_range(scores: np.ndarray) -> bool:
    return bool(scores.min() >= -SLACK and scores.max() <= 1 + SLACK)
