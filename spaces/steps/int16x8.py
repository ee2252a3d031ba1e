"""int8 weights with int16 activations (TensorFlow converter)."""

import dataclasses

from litetuner.spaces.choices import Choices
from litetuner.spaces.data.calibration import COUNTS, SELECTIONS
from litetuner.spaces.step import Step, knob
from litetuner.spaces.steps.int8 import IntegerConversion


@dataclasses.dataclass(frozen=True)
class Int16x8(IntegerConversion):
    """int8's size with almost float accuracy, for microcontrollers and accelerators; 30 to 60 times slower on a PC."""

    name = "int16x8"
    order = 5
    operators = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"

    io: str = knob("float32", ("float32", "int16"), "type of input and output")
    calibration: int = knob(0, COUNTS, "training samples that ranges are measured on; 0: what --calibration says")
    selection: str = knob("balanced", SELECTIONS, "which samples: balanced, random, spread or extremes")

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        return (cls(**choices.choose_calibration()),)
