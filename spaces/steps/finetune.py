"""Fine-tuning: plain training, mostly after a step that cost accuracy."""

from __future__ import annotations

import dataclasses
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.step import Stage, Step, knob
from litetuner.spaces.training.augmentation import CHOICES as AUGMENTATIONS
from litetuner.spaces.training.augmentation import NONE, check_augmentation
from litetuner.spaces.training.fit import fit, seeded


@dataclasses.dataclass(frozen=True)
class Finetune(Step):
    """Trains all weights; nothing is held, so it belongs before pruning and clustering. A probe is the model unchanged."""

    name = "finetune"
    stage = Stage.TRAIN
    order = 10
    needs_training_data = True

    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data")
    learning_rate: float = knob(1e-3, (1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")
    augment: str = knob(NONE, AUGMENTATIONS, "views of images that are trained on")

    def __post_init__(self) -> None:
        check_augmentation(self.name, self.augment)

    def apply(self, subject: Any, context: Context) -> Any:
        """A trained copy of a tf_keras model."""
        with seeded(context.seed):
            model = clone(subject)
            if not context.untrained:
                fit(
                    model,
                    context,
                    epochs=self.epochs,
                    learning_rate=self.learning_rate,
                    distill=self.distill,
                    augment=self.augment,
                )
            return model
