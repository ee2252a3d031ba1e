"""Weights stored as int8, activations quantized at run time (TensorFlow Lite dynamic-range quantization)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.steps.float32 import Conversion

SMALLEST = 1024  # weights; the converter leaves smaller kernels in float32
OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclasses.dataclass(frozen=True)
class Dynamic(Conversion):
    """About a quarter of the size without any data. The converter leaves kernels below 1024 weights in float32.

    Faster for dense and 3x3 convolution layers, slower for depthwise nets.
    """

    name = "dynamic"
    order = 3

    def label(self) -> str:
        return "dynamic int8"

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        """Layers with operators that have no 8-bit kernel in the converter are not listed."""
        return {
            name: "int8" if weight.values.size >= SMALLEST else "float32"
            for name, weight in weights.items()
            if weight.operator in OPERATORS
        }

    def precision(self, layer: str) -> str:
        return "dynamic int8"  # or float32 if the kernel is small

    def configure(self, converter: Any, tf: Any, subject: Any, context: Context) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
