"""Knowledge distillation: train towards the baseline's outputs (Hinton et al. 2015, arXiv:1503.02531).

A compressed copy should compute what the baseline computes, and the baseline's outputs contain more information than labels:
a short training on labels alone loses what a long training with augmentation had learned.
"""

from typing import Any

import numpy as np

from litetuner.spaces.models.decision import Activation
from litetuner.spaces.tf import load

BATCH = 256
LARGEST_BYTES = 1 << 30  # of outputs that are kept; above, a model is trained on labels only


def teacher_targets(model: Any, x: np.ndarray, link: Activation) -> np.ndarray:
    """The baseline's outputs (n, ...) on ``x`` (n, *sample), as probabilities for a classifier whose outputs are logits."""
    tf = load()
    dtype = model.inputs[0].dtype
    activation = {"softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid, "none": tf.identity}[link]

    def run(batch: Any) -> Any:
        return activation(model(batch, training=False))

    compiled = tf.function(run, input_signature=[tf.TensorSpec((None, *x.shape[1:]), dtype)], autograph=False)
    starts = range(0, len(x), BATCH)
    parts = [compiled(tf.constant(np.asarray(x[i : i + BATCH], dtype.as_numpy_dtype))).numpy() for i in starts]
    return np.concatenate(parts).astype(np.float32)
