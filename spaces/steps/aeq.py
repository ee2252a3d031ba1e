"""Post-training quantization by ai-edge-quantizer, with a precision of its own for any layer."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.quantizer import RECIPES, check_names, quantize
from litetuner.spaces.step import Stage, Step, knob


@dataclasses.dataclass(frozen=True)
class Aeq(Step):
    """Quantizes a float32 file by a recipe; costs milliseconds, so one conversion serves many variants.

    "dynamic" recipes quantize activations while running, "weight_only" compute in float, "static" need calibration samples
    and have integer inputs and outputs. ``layers`` are (layer, precision) pairs that differ from the recipe. The label is
    exact: a layer that the recipe cannot quantize must be among them.
    """

    name = "aeq"
    stage = Stage.REWRITE

    recipe: str = knob("static_wi8_ai8", tuple(RECIPES), "how all layers are quantized")
    layers: tuple[tuple[str, str], ...] = knob((), None, "layers with another precision: float32, int8 or int4")

    def __post_init__(self) -> None:
        check_names(self.recipe, self.layers)

    @property
    def needs_calibration(self) -> bool:  # type: ignore[override]
        return RECIPES[self.recipe].kind == "static"

    def label(self) -> str:
        counts = collections.Counter(precision for _, precision in self.layers)
        mixed = ",".join(f"{count}x{precision}" for precision, count in sorted(counts.items()))
        return f"aeq_{self.recipe}" + (f"[{mixed}]" if mixed else "")

    def details(self) -> list[str]:
        return [f"aeq: {name}: {precision}" for name, precision in self.layers]

    def promises(self, layer_names: Sequence[str]) -> list[tuple[str, str, Any]]:
        """What must hold in the final file: (layer, "weight_type", type) for each of ``layers``.

        All other operators with weights are proved by ``apply`` itself: it sees operators, while a name among ``layer_names``
        may be a layer that has none in the file (a folded batch normalization).
        """
        return [(name, "weight_type", precision) for name, precision in self.layers]

    def apply(self, subject: bytes, context: Context) -> bytes:
        """The quantized file of a float32 one.

        Raises ``Refused`` where an operator cannot take its precision, ``BuildFailed`` where a layer is not to be found in
        the file or the finished file does not hold what was asked.
        """
        return quantize(subject, RECIPES[self.recipe], self.layers, context.calibration)
