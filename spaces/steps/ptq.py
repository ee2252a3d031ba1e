"""Post-training quantization by litert-quantizer; each layer can have its own precision."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.data.calibration import COUNTS, SELECTIONS, calibration_details, check_calibration
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.quantization.quantizer import WeightRounding, quantize
from litetuner.spaces.quantization.quantizer_policy import ALGORITHMS, GRANULARITIES, IO, PRECISIONS, RECIPES
from litetuner.spaces.quantization.recipe_choices import RecipeChoices
from litetuner.spaces.step import Role, Rule, Stage, Step, knob
from litetuner.spaces.steps.float32 import Float32

PREFIX = "ptq_"  # of deployment names that stand for a recipe
LABELS = {
    "dynamic_wi8": "dynamic int8",
    "dynamic_wi4": "dynamic int4",
    "weight_only_wi8": "weight-only int8",
    "weight_only_wi4": "weight-only int4",
    "weight_only_wf16": "float16",
    "static_wi8_ai8": "int8",
    "static_wi8_ai16": "int16x8",
}


def _from_float(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    for step in steps:
        if step.stage is Stage.CONVERT and not isinstance(step, Float32):
            yield f"{step.name} -> ptq: ptq starts from a float32 file"


def _named_layers(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    layers = {layer.name: layer for layer in around.model.layers}
    for name, precision in next(step.layers for step in steps if isinstance(step, Ptq)):
        if name not in layers:
            yield f"ptq names the layer {name!r}, which the model does not have"
        elif precision == "int4" and not layers[name].can("int4"):
            yield f"ptq: {name} cannot take int4: {layers[name].refusals['int4']}"


@dataclasses.dataclass(frozen=True)
class Ptq(Step):
    """Quantizes a float32 file by a recipe; costs milliseconds, so one conversion serves many variants.

    "dynamic" recipes quantize activations at run time. "weight_only" recipes compute in float. "static" recipes need
    calibration samples and have integer inputs and outputs unless ``io`` says otherwise. ``algorithm`` is how weights
    are rounded: by the smallest and largest value (minmax), with the least squared error (mse), the same by Newton's
    iteration (octav, arXiv:2206.06501), with regard to the layer's inputs (gptq, arXiv:2210.17323), or after a Hadamard
    rotation (hadamard). mse and octav clip rare values, and with one scale per tensor values repeat; both make the
    compressed file smaller.

    ``layers`` are (layer, precision) pairs that differ from the recipe. The layers in ``plain`` keep minmax and
    channel. A layer that cannot be quantized as the recipe and the knobs say must be in one of them.
    """

    name = "ptq"
    stage = Stage.REWRITE
    order = 5
    role = Role.LAYER_PRECISION
    rules = (
        Rule("quantizer", "the quantizer works on float files", _from_float),
        Rule("precisions", "each layer type takes what the quantizer's policy says", _named_layers),
    )
    takes_tflite = True

    recipe: str = knob("static_wi8_ai8", tuple(RECIPES), "how all layers are quantized")
    layers: tuple[tuple[str, str], ...] = knob((), None, "layers with another precision: float32, int8 or int4")
    algorithm: str = knob("minmax", ALGORITHMS, "how weights are rounded: minmax, mse, octav, gptq or hadamard")
    granularity: str = knob(
        "channel", GRANULARITIES, "what shares a scale: a channel, the tensor, or a block of inputs"
    )
    plain: tuple[str, ...] = knob((), None, "layers that keep minmax and channel")
    io: str = knob("native", IO, "type of input and output of a static file; native: that of its activations")
    calibration: int = knob(0, COUNTS, "training samples for static ranges and gptq; 0: what --calibration says")
    selection: str = knob("balanced", SELECTIONS, "which samples: balanced, random, spread or extremes")

    def __post_init__(self) -> None:
        for name in ("recipe", "algorithm", "granularity", "io"):
            known = self.choices(name)
            self._refuse_unknown(name, getattr(self, name), known, f"; known: {', '.join(known)}")
        names = [name for name, _ in self.layers]
        for name, precision in self.layers:
            if precision not in PRECISIONS:
                raise Refused(
                    f"ptq: {name} is to be {precision!r}{nearest(precision, PRECISIONS)}; known: {', '.join(PRECISIONS)}"
                )
            if names.count(name) > 1:
                raise Refused(f"ptq: layer {name!r} is named {names.count(name)} times")
        if len(set(self.plain)) < len(self.plain):
            raise Refused("ptq: plain names a layer twice")
        recipe = RECIPES[self.recipe]
        if recipe.weight_bits == 16 and (self.algorithm, self.granularity) != ("minmax", "channel"):
            raise Refused("ptq: float16 is a cast, without algorithm and granularity")
        if recipe.kind != "static" and self.io != "native":
            raise Refused(f"ptq: {self.recipe} has float32 inputs and outputs; io is a knob of static recipes")
        check_calibration(self.name, self.calibration, self.selection)

    @property
    def needs_calibration(self) -> bool:  # type: ignore[override]
        return RECIPES[self.recipe].kind == "static" or self.algorithm == "gptq"

    def label(self) -> str:
        marks = ["per-tensor"] if self.granularity == "tensor" else []
        marks += ["mixed"] if self.layers else []
        return " ".join([LABELS[self.recipe], *marks])

    def details(self) -> list[str]:
        said = {
            f"ptq: weights rounded by {self.algorithm}": self.algorithm != "minmax",
            f"ptq: one weight scale per {self.granularity}": self.granularity not in ("channel", "tensor"),
            f"ptq: {self.io} inputs and outputs": self.io != "native",
        }
        lines = [line for line, holds in said.items() if holds]
        lines += calibration_details(self.name, self.calibration, self.selection)
        lines += [f"ptq: {name}: {precision}" for name, precision in self.layers]
        return lines + [f"ptq: {name}: minmax by channel" for name in self.plain]

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Invariants of the final file: (layer, "weight_type", type) for each of ``layers``.

        ``apply`` itself verifies the types and scales of all operators with weights. It sees operators, while a name in
        ``layer_names`` may be a layer without an operator in the file (a folded batch normalization).
        """
        return [(name, "weight_type", precision) for name, precision in self.layers]

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        return {name: self.precision(name) for name in weights}

    def precision(self, layer: str) -> str:
        return dict(self.layers).get(layer, RECIPES[self.recipe].weight_type)

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Nothing: this step is chosen as a deployment."""
        return ()

    @classmethod
    def deployments(cls, choices: Choices) -> tuple[str, ...]:
        """One deployment for each recipe, plus those with precisions by layer."""
        found = RecipeChoices(choices)
        return (*(PREFIX + name for name in found.recipes()), *found.mixes()) if choices.allows(cls.name) else ()

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        return (Float32(), cls(**RecipeChoices(choices).knobs(deployment.removeprefix(PREFIX))))

    def apply(self, subject: bytes, context: Context) -> bytes:
        """The quantized version of a float32 file.

        Raises ``Refused`` if an operator cannot have its precision, ``BuildFailed`` if a layer is not found in the file
        or the finished file differs from the request.
        """
        rounding = WeightRounding(self.algorithm, self.granularity, self.plain)
        return quantize(subject, RECIPES[self.recipe], self.layers, context.calibration, rounding, self.io)
