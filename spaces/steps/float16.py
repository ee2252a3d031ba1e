"""Weights stored as float16 (TensorFlow Lite post-training quantization)."""

import dataclasses
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.steps.float32 import Conversion


@dataclasses.dataclass(frozen=True)
class Float16(Conversion):
    """Half the size at hardly any loss; computed in float32 on most processors, so no faster."""

    name = "float16"
    order = 2
    weight_type = "float16"

    def configure(self, converter: Any, tf: Any, subject: Any, context: Context) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
