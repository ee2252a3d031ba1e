"""What a step is given besides its subject."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Context:
    """Data and settings of one build.

    ``x_train`` (n, *sample) and ``y_train`` (n, ...) may be memory-mapped, and are empty where there is no training data.
    ``calibration`` (m, *sample) are real inputs cut from the train split by seed, checked for NaN and infinity.
    ``loss`` is a tf_keras loss object or name, or a function of (y, outputs). ``untrained`` builds a probe: masks and centroids
    are set, nothing is fitted. ``w_train`` (n,) are weights of samples. ``teacher`` (n, ...) are the baseline's outputs on
    ``x_train``, probabilities for a classifier; steps may train towards them, with ``soft_loss``. ``loop`` is a training loop of
    the user's (``training/own_loop.py``), which replaces ours. ``changed``: did steps before the conversion change it?
    """

    x_train: np.ndarray
    y_train: np.ndarray
    calibration: np.ndarray
    loss: object
    batch_size: int
    seed: int
    untrained: bool = False
    w_train: np.ndarray | None = None
    teacher: np.ndarray | None = None
    soft_loss: object = None
    loop: Callable[..., Any] | None = None
    changed: bool = True
