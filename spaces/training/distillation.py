"""Knowledge distillation: train towards the baseline's outputs (Hinton et al. 2015, arXiv:1503.02531).

A compressed copy should compute what the baseline computes, and the baseline's outputs contain more information than labels:
a short training on labels alone loses what a long training with augmentation had learned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tf import load

BATCH = 256
LARGEST_BYTES = 1 << 30  # of outputs that are kept; above, a model is trained on labels only


def teacher_targets(model: Any, x: np.ndarray, activation: str, classification: bool) -> np.ndarray:
    """The baseline's outputs (n, ...) on ``x`` (n, *sample), as probabilities for a classifier whose outputs are logits."""
    tf = load()
    dtype = model.inputs[0].dtype

    def run(batch: Any) -> Any:
        outputs = model(batch, training=False)
        if classification and activation not in ("softmax", "sigmoid"):
            single = outputs.shape.rank == 1 or outputs.shape[-1] == 1
            return tf.nn.sigmoid(outputs) if single else tf.nn.softmax(outputs)
        return outputs

    compiled = tf.function(run, input_signature=[tf.TensorSpec((None, *x.shape[1:]), dtype)], autograph=False)
    starts = range(0, len(x), BATCH)
    parts = [compiled(tf.constant(np.asarray(x[i : i + BATCH], dtype.as_numpy_dtype))).numpy() for i in starts]
    return np.concatenate(parts).astype(np.float32)


def soft_targets(y: np.ndarray, teacher: np.ndarray | None, share: float, loss: Any) -> tuple[np.ndarray, Any]:
    """Labels mixed with a ``share`` of the baseline's outputs, and the loss that takes them.

    The cross-entropy is linear in its target, so a mixture of targets is the mixture of both losses. Raises
    ``BuildFailed`` where there are no outputs to learn from or the labels are not of their shape.
    """
    if share == 0:
        return y, loss
    load()
    import tf_keras

    if teacher is None:
        raise BuildFailed("the baseline's outputs are not kept (too large, or no training data): set distill to 0")
    if isinstance(loss, tf_keras.losses.SparseCategoricalCrossentropy):
        loss = tf_keras.losses.CategoricalCrossentropy(from_logits=loss.get_config()["from_logits"])
        labels: np.ndarray = np.eye(teacher.shape[-1], dtype=np.float32)[y.ravel()]
    else:
        labels = np.asarray(y, dtype=np.float32)
    if labels.size != teacher.size:
        raise BuildFailed(
            f"labels of shape {y.shape} cannot be mixed with outputs of shape {teacher.shape}: set distill to 0"
        )
    return share * teacher + (1 - share) * labels.reshape(teacher.shape), loss
