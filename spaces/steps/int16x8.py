"""int8 weights with int16 activations (TensorFlow converter)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.context import Context
from litetuner.spaces.data.calibration import COUNTS, SELECTIONS, calibration_details, check_calibration
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.step import Stage, Step, knob
from litetuner.spaces.tflite.conversion import convert, representative

_IO = ("float32", "int16")


@dataclasses.dataclass(frozen=True)
class Int16x8(Step):
    """int8's size with almost float accuracy, for microcontrollers and accelerators; 30 to 60 times slower on a PC."""

    name = "int16x8"
    stage = Stage.CONVERT
    order = 5
    needs_calibration = True

    io: str = knob("float32", _IO, "type of input and output")
    calibration: int = knob(0, COUNTS, "training samples that ranges are measured on; 0: what --calibration says")
    selection: str = knob("balanced", SELECTIONS, "which samples: balanced, random, spread or extremes")

    def __post_init__(self) -> None:
        if self.io not in _IO:
            raise Refused(f"int16x8: there is no io {self.io!r}{nearest(self.io, _IO)}; it is one of {', '.join(_IO)}")
        check_calibration(self.name, self.calibration, self.selection)

    def details(self) -> list[str]:
        io = [f"int16x8: {self.io} inputs and outputs"] if self.io != "float32" else []
        return io + calibration_details(self.name, self.calibration, self.selection)

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(weights, "int8")

    def precision(self, layer: str) -> str:
        return "int16x8"

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        return (cls(**choices.choose_calibration()),)

    def apply(self, subject: Any, context: Context) -> bytes:
        """The ``.tflite`` of a tf_keras or Keras 3 model.

        Raises ``Refused`` without calibration samples, ``BuildFailed`` when the converter refuses the model (an operator
        without an int16x8 kernel).
        """

        def configure(converter: Any, tf: Any) -> None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = representative(subject, context)
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            ]
            converter.inference_input_type = tf.as_dtype(self.io)
            converter.inference_output_type = tf.as_dtype(self.io)

        return convert(subject, configure, integer=True)
