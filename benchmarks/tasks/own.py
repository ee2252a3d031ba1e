"""Metrics and losses written by users, for options such as ``--metric tasks.own:words``."""

from __future__ import annotations

from typing import Any

import numpy as np


def words(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of words that best-path CTC decoding reads correctly; the last class is the blank."""
    blank, right = y_pred.shape[-1] - 1, 0
    for label, path in zip(y_true, y_pred.argmax(axis=-1), strict=True):
        read = [c for k, c in enumerate(path) if c != blank and (k == 0 or path[k - 1] != c)]
        right += read == list(label)
    return right / len(y_true)


def ctc(y_true: Any, y_pred: Any) -> Any:
    import tensorflow as tf

    count = tf.shape(y_pred)[0]
    lengths = {
        "label_length": tf.fill([count], y_true.shape[1]),
        "logit_length": tf.fill([count], y_pred.shape[1]),
    }
    logits = tf.math.log(y_pred + 1e-7)
    blank = y_pred.shape[-1] - 1
    return tf.nn.ctc_loss(tf.cast(y_true, tf.int32), logits, **lengths, logits_time_major=False, blank_index=blank)


def fit_ctc(model: Any, dataset: Any, epochs: int, callbacks: list[Any], seed: int) -> None:
    model.compile(model.optimizer, ctc)
    model.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)


def retrieval(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of samples whose nearest neighbor by cosine similarity has the same label."""
    unit = y_pred / np.maximum(np.linalg.norm(y_pred, axis=1, keepdims=True), 1e-9)
    near = unit @ unit.T
    np.fill_diagonal(near, -2)
    return float((y_true[near.argmax(axis=1)] == y_true).mean())


def pairs(y_true: Any, y_pred: Any) -> Any:
    """Supervised contrastive loss of each sample of a batch (Khosla et al. 2020, arXiv:2004.11362)."""
    import tensorflow as tf

    y_true = tf.reshape(y_true, [-1])
    unit = tf.math.l2_normalize(y_pred, axis=1)
    others = 1 - tf.eye(tf.shape(unit)[0])
    logits = tf.matmul(unit, unit, transpose_b=True) / 0.2 - 1e9 * (1 - others)
    same = tf.cast(tf.equal(y_true[:, None], y_true[None]), tf.float32) * others
    return -tf.reduce_sum(same * tf.nn.log_softmax(logits), axis=1) / (tf.reduce_sum(same, axis=1) + 1e-9)


def anomalies(y_true: np.ndarray, y_pred: np.ndarray, x: np.ndarray) -> float:
    """ROC AUC of the reconstruction error for labels 0 and 1."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y_true, np.mean((x - y_pred) ** 2, axis=tuple(range(1, x.ndim)))))


def boxes(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of images whose most confident cell of (n, cells, 5) has a box with an IoU above 0.5 with the true box."""
    best = y_pred[np.arange(len(y_pred)), y_pred[..., 0].argmax(axis=1), 1:]
    cell = y_true[np.arange(len(y_true)), y_true[..., 0].argmax(axis=1), 1:]
    low, high = np.maximum(best[:, :2], cell[:, :2]), np.minimum(best[:, 2:], cell[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = [np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1) for box in (best, cell)]
    return float(np.mean(shared > 0.5 * (areas[0] + areas[1] - shared)))


def pinball(y_true: Any, y_pred: Any) -> Any:
    """Pinball loss for the 90 % quantile."""
    import tensorflow as tf

    error = tf.cast(tf.reshape(y_true, tf.shape(y_pred)), tf.float32) - y_pred
    return tf.reduce_mean(tf.maximum(0.9 * error, -0.1 * error), axis=-1)


def pinball_score(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    error = y_true.reshape(-1) - y_pred.reshape(-1)
    return float(np.mean(np.maximum(0.9 * error, -0.1 * error)))


for _share in (words, retrieval, anomalies, boxes):
    _share.bounded = True  # type: ignore[attr-defined]
    _share.direction = "maximize"  # type: ignore[attr-defined]
pinball_score.direction = "minimize"  # type: ignore[attr-defined]
