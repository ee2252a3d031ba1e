"""Conversion without quantization."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from litetuner.spaces.channels.tflite.dead import without_dead_channels
from litetuner.spaces.context import Context
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.tflite.conversion import convert


class Conversion(Step):
    """Base class of the conversions: all weights get one type, unless a subclass overrides it."""

    stage = Stage.CONVERT
    weight_type: ClassVar[str]

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(weights, self.weight_type)

    def precision(self, layer: str) -> str:
        return self.name

    def apply(self, subject: Any, context: Context) -> bytes:
        """The ``.tflite`` of a tf_keras or Keras 3 model.

        Raises ``BuildFailed`` if the converter rejects the model (an operator without a kernel of the type),
        ``Refused`` if calibration samples are needed and missing.
        """
        return self.apply_with_notes(subject, context)[0]

    def apply_with_notes(self, subject: Any, context: Context) -> tuple[bytes, list[str]]:
        """``apply``, plus notes on what was removed from the float file before it was quantized."""
        notes: list[str] = []

        def configure(converter: Any, tf: Any) -> None:
            self.configure(converter, tf, subject, context)
            if self.needs_calibration and not context.changed:
                remove_dead_channels(converter, context.calibration, notes)

        return convert(subject, configure, integer=self.needs_calibration), notes

    def configure(self, converter: Any, tf: Any, subject: Any, context: Context) -> None:
        """Configure the quantization of a ``tf.lite.TFLiteConverter``."""


@dataclasses.dataclass(frozen=True)
class Float32(Conversion):
    """The float model as it is: the baseline, and what the rewriting steps start from.

    A model that is a ``.tflite`` already is used as it is.
    """

    name = "float32"
    order = 1
    role = Role.FLOAT
    takes_tflite = True
    weight_type = "float32"


def remove_dead_channels(converter: Any, samples: np.ndarray, notes: list[str]) -> None:
    """Make a ``tf.lite.TFLiteConverter`` calibrate and quantize its float file without dead channels.

    ``notes`` gets a message on it. This patches a private method of the converter, which only integer quantization
    calls, on the float file.
    """
    quantize = getattr(converter, "_optimize_tflite_model", None)
    if quantize is None:  # another version of TensorFlow
        notes.append("dead channels stay: this version of TensorFlow quantizes in another way")
        return

    def without_dead(file: Any, *arguments: Any, **settings: Any) -> Any:
        alive = without_dead_channels(bytes(file), samples)
        notes.extend([alive.note] if alive.note else [])
        return quantize(alive.file, *arguments, **settings)

    converter._optimize_tflite_model = without_dead
