"""Conversion without quantization."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from litetuner.spaces.context import Context
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.tflite.conversion import convert


class Conversion(Step):
    """Base of the conversions: all weights become one type, unless a subclass says otherwise."""

    stage = Stage.CONVERT
    weight_type: ClassVar[str]

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(weights, self.weight_type)

    def precision(self, layer: str) -> str:
        return self.name

    def apply(self, subject: Any, context: Context) -> bytes:
        """The ``.tflite`` of a tf_keras or Keras 3 model.

        Raises ``BuildFailed`` when the converter refuses it (an operator without a kernel of the type), ``Refused`` where
        calibration samples are needed and missing.
        """

        def configure(converter: Any, tf: Any) -> None:
            self.configure(converter, tf, subject, context)

        return convert(subject, configure, integer=self.needs_calibration)

    def configure(self, converter: Any, tf: Any, subject: Any, context: Context) -> None:
        """Tell a ``tf.lite.TFLiteConverter`` how to quantize."""


@dataclasses.dataclass(frozen=True)
class Float32(Conversion):
    """The float model as it is: the baseline, and what the rewriting steps start from. A ``.tflite`` is its own."""

    name = "float32"
    order = 1
    role = Role.FLOAT
    takes_tflite = True
    weight_type = "float32"
