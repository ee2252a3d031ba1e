"""Weights stored as float16 (TensorFlow Lite post-training quantization)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.step import Stage, Step
from litetuner.spaces.tflite.conversion import convert


@dataclasses.dataclass(frozen=True)
class Float16(Step):
    """Half the size at hardly any loss; computed in float32 on most processors, so no faster."""

    name = "float16"
    stage = Stage.CONVERT
    order = 2

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(weights, "float16")

    def precision(self, layer: str) -> str:
        return "float16"

    def apply(self, subject: Any, context: Context) -> bytes:
        """The ``.tflite`` of a tf_keras or Keras 3 model. Raises ``BuildFailed`` when the converter refuses it."""

        def configure(converter: Any, tf: Any) -> None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]

        return convert(subject, configure)
