"""Full integer quantization: int8 weights and activations (Jacob et al. 2018, arXiv:1712.05877; TensorFlow converter)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.context import Context
from litetuner.spaces.data.calibration import COUNTS, SELECTIONS, calibration_details, check_calibration
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.quantization.rounding import SCALES
from litetuner.spaces.step import Role, Stage, Step, knob
from litetuner.spaces.tflite.conversion import convert, representative

_IO = ("float32", "int8", "uint8")


@dataclasses.dataclass(frozen=True)
class Int8(Step):
    """A quarter of the size and the fastest arithmetic on most processors; needs calibration samples.

    ``io`` is the type of input and output; float32 adds a conversion at both ends. A quantization-aware trained model brings
    its own ranges; only what it left open is measured on the calibration samples. One weight scale a tensor (``scales``)
    keeps weights that are equal in the model equal in the file, and rounds more coarsely.
    """

    name = "int8"
    stage = Stage.CONVERT
    order = 4
    role = Role.INTEGER
    needs_calibration = True

    io: str = knob("float32", _IO, "type of input and output")
    scales: str = knob("channel", SCALES, "one weight scale a channel, or one a tensor")
    calibration: int = knob(0, COUNTS, "training samples that ranges are measured on; 0: what --calibration says")
    selection: str = knob("balanced", SELECTIONS, "which samples: balanced, random, spread or extremes")

    def __post_init__(self) -> None:
        if self.io not in _IO:
            raise Refused(f"int8: there is no io {self.io!r}{nearest(self.io, _IO)}; it is one of {', '.join(_IO)}")
        if self.scales not in SCALES:
            raise Refused(f"int8: there are no scales {self.scales!r}{nearest(self.scales, SCALES)}; channel or tensor")
        check_calibration(self.name, self.calibration, self.selection)

    def label(self) -> str:
        return "int8 per-tensor" if self.scales == "tensor" else "int8"

    def details(self) -> list[str]:
        io = [f"int8: {self.io} inputs and outputs"] if self.io != "float32" else []
        return io + calibration_details(self.name, self.calibration, self.selection)

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(weights, "int8")

    def precision(self, layer: str) -> str:
        return "int8"

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        scales = choices.choose.one_of("int8.scales", cls.choices("scales"))
        return (cls(io=choices.choose_io(), scales=scales, **choices.choose_calibration()),)

    def apply(self, subject: Any, context: Context) -> bytes:
        """The ``.tflite`` of a tf_keras or Keras 3 model.

        Raises ``Refused`` without calibration samples, ``BuildFailed`` when the converter refuses the model (an operator
        without an int8 kernel).
        """

        def configure(converter: Any, tf: Any) -> None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = representative(subject, context)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.as_dtype(self.io)
            converter.inference_output_type = tf.as_dtype(self.io)
            converter._experimental_disable_per_channel = self.scales == "tensor"

        return convert(subject, configure, integer=True)
