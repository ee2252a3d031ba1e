"""The counts of (true class, predicted class), for classification metrics, computed on some samples at a time."""

import numpy as np

from litetuner.objectives.metrics.metric import in_parts
from litetuner.spaces.models.classes import class_numbers
from litetuner.spaces.models.decision import Decision


def class_pairs(
    y_true: np.ndarray, y_pred: np.ndarray, decision: Decision | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True classes, predicted classes and counts, each (pairs,), over all samples and positions.

    scikit-learn's metrics accept the counts as ``sample_weight``.
    """

    def coded(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
        pairs = np.stack([np.ravel(y).astype(np.int64), class_numbers(pred, decision).ravel()], axis=1)
        found, counts = np.unique(pairs[:, 0] << 32 | pairs[:, 1], return_counts=True)
        return np.stack([found, counts])

    codes, counts = np.concatenate(in_parts(coded, y_true, y_pred), axis=1)
    found, position = np.unique(codes, return_inverse=True)
    return found >> 32, found & (1 << 32) - 1, np.bincount(position, weights=counts)
