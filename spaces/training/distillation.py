"""Knowledge distillation: train towards the baseline's outputs (Hinton et al. 2015, arXiv:1503.02531).

A compressed model should reproduce the baseline, and the baseline's outputs contain more information than labels. A
short training on labels alone loses what the baseline learned in a long training with augmentation.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from litetuner.spaces.data.arrays import release
from litetuner.spaces.data.named_arrays import pack
from litetuner.spaces.models.decision import Activation
from litetuner.spaces.models.signature import feed
from litetuner.spaces.tf import load

BATCH = 256
LARGEST_BYTES = 1 << 30  # maximum bytes of the baseline's outputs on disk; above, training uses only labels


def teacher_targets(model: Any, x: np.ndarray, links: Mapping[str, Activation]) -> Iterator[np.ndarray]:
    """The baseline's outputs on ``x`` (n, ...), batch by batch (b, ...); logits are converted to probabilities.

    ``links`` are the activations that convert each output to probabilities, by output name. If there are several
    outputs, a batch has one field for each.
    """
    tf = load()
    activations = {"softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid, "none": tf.identity}

    def run(batch: Any) -> list[Any]:
        outputs = tf.nest.flatten(model(batch, training=False))
        return [activations[link](output) for link, output in zip(links.values(), outputs, strict=True)]

    compiled = tf.function(run, autograph=False, reduce_retracing=True)
    for start in range(0, len(x), BATCH):
        columns = [part.numpy().astype(np.float32) for part in compiled(feed(model, x[start : start + BATCH]))]
        release(x)
        yield columns[0] if len(columns) == 1 else pack(dict(zip(links, columns, strict=True)))
