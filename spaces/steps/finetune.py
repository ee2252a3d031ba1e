"""Fine-tuning: plain training, mostly after a step that cost accuracy."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.data.augmentation import NONE, VIEWS
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.step import Role, Rule, Stage, Step, knob
from litetuner.spaces.training.fit import seeded
from litetuner.spaces.training.step import TrainingStep


def _alone(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    trainings = [step for step in steps if step.stage is Stage.TRAIN]
    if len(trainings) > 1 and not any(step.stage is Stage.RESHAPE for step in steps):
        yield "finetune before another training step only costs time, since each trains by itself"


@dataclasses.dataclass(frozen=True)
class Finetune(TrainingStep):
    """Trains all weights and preserves no zeros or clusters, so it belongs before pruning and clustering.

    A probe is the model unchanged.
    """

    name = "finetune"
    order = 10
    role = Role.FINE_TUNE
    rules = (Rule("fine-tuning", "it recovers what reshaping cost, or stands alone", _alone),)
    needs_training_data = True

    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data")
    learning_rate: float = knob(1e-3, (1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")
    augment: str = knob(NONE, VIEWS, "views of images that are trained on")

    def label(self) -> str:
        return "fine-tune"

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Nothing: the space adds this step after reshaping, and if no other training step was chosen."""
        return ()

    def apply(self, subject: Any, context: Context) -> Any:
        """A trained copy of a tf_keras model."""
        with seeded(context.seed):
            model = clone(subject)
            if not context.untrained:
                self._fit(model, context)
            return model
