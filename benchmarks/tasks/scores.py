"""Expected scores of outputs, computed only with NumPy and scikit-learn. The recorded metric must be equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import metrics


def classes(y: np.ndarray) -> np.ndarray:
    """Class numbers of labels, which may be one-hot rows."""
    return y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 and set(np.unique(y)) <= {0, 1} else y.reshape(len(y))


def accuracy(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(np.mean(p.argmax(axis=-1) == classes(y)))


def per_place(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    """Accuracy over all positions of class numbers with shape (n, *positions)."""
    return float(np.mean(p.argmax(axis=-1) == y.reshape(p.shape[:-1])))


def at_half(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(np.mean((p.reshape(y.shape) > 0.5) == (y > 0.5)))


def at_zero(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(np.mean((p.reshape(y.shape) > 0) == (y > 0.5)))


def balanced(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(metrics.balanced_accuracy_score(y, p.reshape(-1) > 0.5))


def top5(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(metrics.top_k_accuracy_score(classes(y), p, k=5, labels=np.arange(p.shape[1])))


def mean_auc(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(metrics.roc_auc_score(y, p if y.ndim > 1 else p.reshape(-1), average="macro"))


def macro_f1(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(metrics.f1_score(y, p > 0.5, average="macro", zero_division=0))


def log_loss(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(metrics.log_loss(classes(y), p.astype(np.float64), labels=np.arange(p.shape[1])))


def mae(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(np.mean(np.abs(p.reshape(y.shape).astype(np.float64) - y)))


def rmse(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(np.sqrt(np.mean((p.reshape(y.shape).astype(np.float64) - y) ** 2)))


def r2(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    return float(metrics.r2_score(y.reshape(len(y), -1), p.reshape(len(y), -1)))


def mean_iou(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    """Intersection over union of all pixels together, averaged over classes."""
    y = y.reshape(-1).astype(int)
    found = (p.reshape(-1) > 0.5).astype(int) if p.shape[-1] == 1 else p.argmax(axis=-1).reshape(-1)
    return float(metrics.jaccard_score(y, found, average="macro"))


def psnr(y: np.ndarray, p: np.ndarray, x: Any) -> float:
    """Peak signal-to-noise ratio in dB, averaged over images with values in [0, 1]."""
    errors = np.mean((p.astype(np.float64) - y) ** 2, axis=tuple(range(1, y.ndim)))
    return float(np.mean(-10 * np.log10(errors)))
