"""The input of a step besides the model or file that it changes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Context:
    """Data and settings of one build.

    ``x_train`` (n, *sample) and ``y_train`` (n, ...) may be memory-mapped. They are empty if there is no training data.
    ``calibration`` (m, *sample) are real inputs drawn from the train split by seed, checked for NaN and infinity.
    ``loss`` is a tf_keras loss object or name, or a function of (y, outputs). ``untrained`` builds a probe: masks and
    centroids are set, nothing is trained. ``w_train`` (n,) are sample weights. ``teacher`` (n, ...) are the outputs of
    the baseline on ``x_train``, probabilities for a classifier; steps may use them as training targets, with
    ``soft_loss``. ``loop`` is a training loop of the user (``training/own_loop.py``), which replaces the built-in one.
    ``changed`` is true if steps before the conversion changed the model.
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
