"""A metric: a number that says how good predictions are, with a direction and a default training loss."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class Metric:
    """Subclasses set the class attributes and define ``score``; one file each in ``objectives/metrics``.

    ``bounded`` metrics live in [0, 1], so a drop is in absolute points; other drops are relative to the baseline.
    ``task`` is what labels must be: class numbers ("classification") or numbers ("regression").
    ``output`` names the output that is scored of a model with several; a user's metric without it gets all of them.
    ``default_loss`` is the tf_keras loss for training: "classification" picks the cross-entropy that fits the model's output.
    """

    name: ClassVar[str]
    direction: ClassVar[Literal["maximize", "minimize"]]
    bounded: ClassVar[bool]
    task: ClassVar[Literal["classification", "regression"]]
    default_loss: ClassVar[str]
    takes_all: ClassVar[bool] = False  # can it score a structured array of several outputs?
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # values that it can have; (0, 1) if it is bounded
    output: str | None = None

    def __init_subclass__(cls) -> None:
        if getattr(cls, "bounded", False):
            cls.limits = (0.0, 1.0)

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """The metric of predictions ``y_pred`` (n, ...) against labels ``y_true`` (n, ...)."""
        raise NotImplementedError(f"{type(self).__name__} defines no score()")

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray | None:
        """Per-sample values (n,) whose mean is the metric, or ``None`` where it does not decompose (F1, AUC, R2)."""
        return None
