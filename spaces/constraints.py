"""Constraints of the space: what is legal for this model, this data and this user."""

import dataclasses

from litetuner.spaces.info import ModelInfo


@dataclasses.dataclass(frozen=True)
class SpaceConstraints:
    """What decides whether a candidate is legal, besides the candidate itself."""

    model: ModelInfo
    has_training_data: bool
    steps: frozenset[str] | None = None  # the user's --steps; None: all
    precision: tuple[tuple[str, str], ...] = ()  # the user's --precision: (layer, float32 | int8 | int4)
    unlabeled: bool = False  # the train split has samples but no labels: it calibrates, and trains nothing
    training_samples: int | None = None  # None: enough for every calibration
    calibration: int = 300  # samples, where a step asks for no other number

    @property
    def can_calibrate(self) -> bool:
        return self.has_training_data or self.unlabeled
