"""A metric: a number that says how good predictions are, with a direction and a default training loss."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, Literal, Self

import numpy as np

from litetuner.spaces.models.decision import Decision

PART_BYTES = 1 << 24  # of labels or predictions: a metric makes copies in double precision of them


def in_parts(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], y: np.ndarray, pred: np.ndarray
) -> list[np.ndarray]:
    """What ``function`` gives for labels and predictions (n, ...), some samples at a time: they may be larger than memory."""
    rows = max(1, PART_BYTES // max(1, y[:1].nbytes, pred[:1].nbytes))
    return [function(y[start : start + rows], pred[start : start + rows]) for start in range(0, len(y), rows)]


@dataclasses.dataclass(frozen=True)
class Metric:
    """Subclasses set the class attributes and define ``score``; one file each in ``objectives/metrics``.

    ``bounded`` metrics live in [0, 1], so a drop is in absolute points; other drops are relative to the baseline.
    ``tasks`` are those of which labels may be, ``decision`` says how outputs are read (``spaces/models/decision.py``).
    ``output`` names the output that is scored of a model with several; a user's metric without it gets all of them.
    ``default_loss`` is the tf_keras loss for training where the model was compiled with none: "classification" picks the
    cross-entropy that fits the model's output. ``takes`` names what ``score`` gets besides: "x" and "groups".
    """

    name: ClassVar[str]
    direction: ClassVar[Literal["maximize", "minimize"]]
    bounded: ClassVar[bool]
    tasks: ClassVar[tuple[str, ...]]
    default_loss: ClassVar[str]
    own_loss: ClassVar[bool] = False  # did the user choose default_loss?
    takes: ClassVar[tuple[str, ...]] = ()
    takes_all: ClassVar[bool] = False  # can it score a structured array of several outputs?
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # values that it can have; (0, 1) if it is bounded
    output: str | None = None
    decision: Decision | None = None

    def __init_subclass__(cls) -> None:
        if getattr(cls, "bounded", False):
            cls.limits = (0.0, 1.0)

    @classmethod
    def numbered(cls, name: str) -> type[Self] | None:
        """The metric of a name that holds a number (top-3); ``None`` where there is none."""
        return None

    def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """The metric of predictions ``y_pred`` (n, ...) against labels ``y_true`` (n, ...); the mean of ``each`` by default."""
        each = self.each(y_true, y_pred)
        if each is None:
            raise NotImplementedError(f"{type(self).__name__} defines neither score() nor each()")
        return float(each.mean())

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray | None:
        """Per-sample values (n,) whose mean is the metric, or ``None`` where it does not decompose (F1, AUC, R2)."""
        return None
