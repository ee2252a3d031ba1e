"""Conversion without quantization."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.tflite.conversion import convert


@dataclasses.dataclass(frozen=True)
class Float32(Step):
    """The float model as it is: the baseline, and what the rewriting steps start from."""

    name = "float32"
    stage = Stage.CONVERT
    order = 1
    role = Role.FLOAT
    takes_tflite = True

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(weights, "float32")

    def precision(self, layer: str) -> str:
        return "float32"

    def apply(self, subject: Any, context: Context) -> bytes:
        """The ``.tflite`` of a tf_keras or Keras 3 model; a ``.tflite`` is its own. Raises ``BuildFailed`` when the converter
        refuses it."""
        return convert(subject, lambda converter, tf: None)
