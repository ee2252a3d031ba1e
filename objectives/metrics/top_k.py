"""Top-k accuracy: the share of samples whose class is among the k highest outputs."""

import functools
import re
from typing import ClassVar, Self

import numpy as np

from litetuner.objectives.metrics.metric import Metric, in_parts
from litetuner.spaces.errors import ConfigError


class TopK(Metric):
    """sklearn.metrics.top_k_accuracy_score. Of equal outputs, the later class is ranked higher, as in scikit-learn."""

    name = "top-5"
    direction = "maximize"
    bounded = True
    tasks = ("multiclass",)
    default_loss = "classification"
    k: ClassVar[int] = 5

    @classmethod
    @functools.cache
    def numbered(cls, name: str) -> type[Self] | None:
        found = re.fullmatch(r"top-([1-9]\d*)", name)
        return type(cls.__name__, (cls,), {"name": name, "k": int(found[1])}) if found else None

    def each(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """1 if the class is among the k highest outputs, else 0."""

        def right(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
            highest = np.argsort(self._checked(pred), axis=1, kind="stable")[:, -self.k :]
            return (highest == np.ravel(y)[:, None]).any(axis=1).reshape(len(y), -1).mean(axis=1)

        return np.concatenate(in_parts(right, y_true, y_pred))

    def _checked(self, y_pred: np.ndarray) -> np.ndarray:
        if y_pred.ndim < 2 or y_pred.shape[-1] <= max(self.k, 2):
            least = max(self.k, 2) + 1
            raise ConfigError(
                f"{self.name} needs a model of at least {least} classes, its output is {y_pred.shape[1:]}. Use --metric accuracy."
            )
        return y_pred.reshape(-1, y_pred.shape[-1])
