"""Constraints of the space: what is legal for this model, this data and this user."""

from __future__ import annotations

import dataclasses

from litetuner.spaces.info import ModelInfo


@dataclasses.dataclass(frozen=True)
class SpaceConstraints:
    """What decides whether a candidate is legal, besides the candidate itself."""

    model: ModelInfo
    has_training_data: bool
    steps: frozenset[str] | None = None  # the user's --steps; None: all
    precision: tuple[tuple[str, str], ...] = ()  # the user's --precision: (layer, float32 | int8 | int4)
    training_samples: int | None = None  # None: not known, as many as one likes
    calibration: int = 300  # samples, where a step asks for no other number
