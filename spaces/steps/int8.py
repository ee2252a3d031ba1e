"""Full integer quantization: int8 weights and activations (Jacob et al. 2018, arXiv:1712.05877; TensorFlow converter)."""

import dataclasses
from typing import Any, ClassVar

from litetuner.spaces.choices import Choices
from litetuner.spaces.context import Context
from litetuner.spaces.data.calibration import COUNTS, SELECTIONS, calibration_details, check_calibration
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.quantization.rounding import SCALES
from litetuner.spaces.step import Role, Step, knob
from litetuner.spaces.steps.float32 import Conversion
from litetuner.spaces.tflite.conversion import representative


class IntegerConversion(Conversion):
    """Base class of the conversions that need calibration samples. Subclasses declare these knobs."""

    needs_calibration = True
    weight_type = "int8"
    operators: ClassVar[str]  # name of a ``tf.lite.OpsSet``
    io: str
    calibration: int
    selection: str

    @classmethod
    def allowed(cls, choices: Choices) -> bool:
        return super().allowed(choices) and all(layer.can("integer") for layer in choices.constraints.model.layers)

    def __post_init__(self) -> None:
        types = self.choices("io")
        self._refuse_unknown("io", self.io, types, f"; it is one of {', '.join(types)}")
        check_calibration(self.name, self.calibration, self.selection)

    def details(self) -> list[str]:
        io = [f"{self.name}: {self.io} inputs and outputs"] if self.io != "float32" else []
        return io + calibration_details(self.name, self.calibration, self.selection)

    def configure(self, converter: Any, tf: Any, subject: Any, context: Context) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative(subject, context)
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, self.operators)]
        converter.inference_input_type = tf.as_dtype(self.io)
        converter.inference_output_type = tf.as_dtype(self.io)


@dataclasses.dataclass(frozen=True)
class Int8(IntegerConversion):
    """A quarter of the size and the fastest arithmetic on most processors; needs calibration samples.

    ``io`` is the type of input and output; float32 adds a conversion at both ends. A model after quantization-aware
    training has its own activation ranges; only missing ranges are measured on the calibration samples. With one weight
    scale per tensor (``scales``) weights that are equal in the model stay equal in the file, but rounding is coarser.
    """

    name = "int8"
    order = 4
    role = Role.INTEGER
    operators = "TFLITE_BUILTINS_INT8"

    io: str = knob("float32", ("float32", "int8", "uint8"), "type of input and output")
    scales: str = knob("channel", SCALES, "one weight scale a channel, or one a tensor")
    calibration: int = knob(0, COUNTS, "training samples that ranges are measured on; 0: what --calibration says")
    selection: str = knob("balanced", SELECTIONS, "which samples: balanced, random, spread or extremes")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scales not in SCALES:
            raise Refused(f"int8: there are no scales {self.scales!r}{nearest(self.scales, SCALES)}; channel or tensor")

    def label(self) -> str:
        return "int8 per-tensor" if self.scales == "tensor" else "int8"

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        scales = choices.choose.one_of("int8.scales", cls.choices("scales"))
        return (cls(io=choices.choose_io(), scales=scales, **choices.choose_calibration()),)

    def configure(self, converter: Any, tf: Any, subject: Any, context: Context) -> None:
        super().configure(converter, tf, subject, context)
        converter._experimental_disable_per_channel = self.scales == "tensor"
