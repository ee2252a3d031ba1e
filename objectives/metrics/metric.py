"""The base class of metrics: a number for the quality of predictions, with a direction and a default training loss."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, Literal, Self

import numpy as np

from litetuner.spaces.models.decision import Decision

PART_BYTES = 1 << 24  # labels or predictions that are processed at once: metrics make double-precision copies of them


def in_parts(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], y: np.ndarray, pred: np.ndarray
) -> list[np.ndarray]:
    """Apply ``function`` to some samples at a time: labels and predictions (n, ...) may be larger than memory."""
    rows = max(1, PART_BYTES // max(1, y[:1].nbytes, pred[:1].nbytes))
    return [function(y[start : start + rows], pred[start : start + rows]) for start in range(0, len(y), rows)]


@dataclasses.dataclass(frozen=True)
class Metric:
    """Subclasses set the class attributes and define ``score`` or ``each``; one file each in ``objectives/metrics``.

    ``bounded`` metrics are within [0, 1], so a drop is in absolute points; other drops are relative to the baseline.
    ``tasks`` are the supported tasks, and ``decision`` says how outputs are read (``spaces/models/decision.py``). For a
    model with several outputs, ``output`` is the name of the output to score; without it, a user's metric gets all
    outputs. ``default_loss`` is the tf_keras loss for training if the model was compiled without one; "classification"
    chooses the cross-entropy that fits the model's output. ``takes`` are the additional arguments of ``score``: "x" and
    "groups".
    """

    name: ClassVar[str]
    direction: ClassVar[Literal["maximize", "minimize"]]
    bounded: ClassVar[bool]
    tasks: ClassVar[tuple[str, ...]]
    default_loss: ClassVar[str]
    own_loss: ClassVar[bool] = False  # true if the user chose default_loss
    takes: ClassVar[tuple[str, ...]] = ()
    takes_all: ClassVar[bool] = False  # true if it can score a structured array of several outputs
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # range of its values; (0, 1) if it is bounded
    output: str | None = None
    decision: Decision | None = None

    def __init_subclass__(cls) -> None:
        if getattr(cls, "bounded", False):
            cls.limits = (0.0, 1.0)

    @classmethod
    def numbered(cls, name: str) -> type[Self] | None:
        """The metric for a name that contains a number (top-3), or ``None`` if the name is another one."""
        return None

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """The metric of predictions ``y_pred`` (n, ...) for labels ``y_true`` (n, ...).

        The default is the mean of ``each``.
        """
        each = self.each(y_true, y_pred)
        if each is None:
            raise NotImplementedError(f"{type(self).__name__} defines neither score() nor each()")
        return float(each.mean())

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray | None:
        """Per-sample values (n,) whose mean is the metric, or ``None`` if it is not such a mean (F1, AUC, R2)."""
        return None
