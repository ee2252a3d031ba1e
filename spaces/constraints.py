"""Constraints of the space: which candidates are legal for this model, this data and this user."""

import dataclasses

from litetuner.spaces.info import ModelInfo


@dataclasses.dataclass(frozen=True)
class SpaceConstraints:
    """Everything besides the candidate itself that decides whether the candidate is legal."""

    model: ModelInfo
    has_training_data: bool
    steps: frozenset[str] | None = None  # the user's --steps; None: all
    precision: tuple[tuple[str, str], ...] = ()  # the user's --precision: (layer, float32 | int8 | int4)
    unlabeled: bool = False  # the train split has samples without labels: for calibration, not for training
    training_samples: int | None = None  # None: enough for every calibration
    calibration: int = 300  # number of samples for steps that set no other number

    @property
    def can_calibrate(self) -> bool:
        return self.has_training_data or self.unlabeled
