"""The base class of all steps that train."""

from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.data.augmentation import VIEWS
from litetuner.spaces.errors import Refused
from litetuner.spaces.step import Stage, Step
from litetuner.spaces.training.fit import TrainingHooks, fit


class TrainingStep(Step):
    """Base class of the steps that train. Subclasses declare these knobs, each with its own values."""

    stage = Stage.TRAIN
    epochs: float
    learning_rate: float
    distill: float
    augment: str

    def __post_init__(self) -> None:
        self._refuse_unknown("augmentation", self.augment, VIEWS, f"; known: {', '.join(VIEWS)}")
        if self.epochs < 0:
            raise Refused(f"{self.name}: epochs is {self.epochs:g}, and cannot be negative")

    def _fit(self, model: Any, context: Context, hooks: TrainingHooks | None = None) -> None:
        """Train a model in place with the values of the knobs."""
        knobs = {"epochs": self.epochs, "learning_rate": self.learning_rate, "distill": self.distill}
        fit(model, context, **knobs, augment=self.augment, hooks=hooks)
