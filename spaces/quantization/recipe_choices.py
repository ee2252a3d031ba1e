"""How a float file can be quantized: recipes for a model, precisions by layer, and rounding algorithms."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.info import LayerInfo
from litetuner.spaces.quantization.quantizer_policy import BITS, RECIPES, Recipe, Scheme, why_not
from litetuner.spaces.tflite.weight_operators import OPERATORS_OF_LAYER, WEIGHT_OPERATORS

FREE_LAYERS = 24  # models with at most this many layers get a free choice per layer; others only choices by ranking
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# (algorithm, granularity) by name, the default first. docs/concepts/techniques.md has measurements of their benefit.
ROUNDINGS: dict[str, tuple[str, str]] = {
    "minmax": ("minmax", "channel"),
    "mse_tensor": ("mse", "tensor"),
    "octav_tensor": ("octav", "tensor"),
    "mse": ("mse", "channel"),
    "octav": ("octav", "channel"),
}
DENSE_ROUNDINGS: dict[str, tuple[str, str]] = {  # only for dense layers, and only without static ranges
    "gptq": ("gptq", "channel"),
    "octav_block32": ("octav", "block32"),
    "hadamard": ("hadamard", "channel"),
}
DENSE_SHARE = 0.25  # minimum share of weights in dense layers for which DENSE_ROUNDINGS are worth a trial
INTEGER = "static_wi8_ai8"  # the base recipe for precisions by layer
MIXED, FREE = "mixed", "layers"  # deployments of this recipe: precisions by ranking, or a free choice per layer
_NATIVE = {INTEGER: "int8", "static_wi8_ai16": "int16"}


@dataclasses.dataclass(frozen=True)
class RecipeChoices:
    """The recipes for one model, and the knobs of each recipe."""

    choices: Choices

    def recipes(self) -> list[str]:
        """The recipes that suit the model, the data and the input and output types."""
        return [name for name in RECIPES if self._suits(name)]

    def mixes(self) -> list[str]:
        """The deployments with precisions by layer that suit the model."""
        ranking = self.choices.ranking
        if not (ranking and self._suits(INTEGER)):
            return []
        return [MIXED, FREE] if 1 < len(ranking) <= FREE_LAYERS else [MIXED]

    def _suits(self, name: str) -> bool:
        around, io = self.choices.constraints, self.choices.io
        if not all(layer.can("quantizer") for layer in around.model.layers):
            return False
        if name in _NATIVE:
            only = io[0] if len(io) == 1 else "float32"
            fits = only in ("float32", _NATIVE[name]) or (only == "uint8" and _NATIVE[name] == "int8")
            return around.can_calibrate and fits
        if name == "weight_only_wf16":  # Keras models use the converter's float16 conversion instead
            return around.model.source == "tflite" and not around.precision
        return True

    def knobs(self, deployment: str) -> dict[str, Any]:
        """The knobs of a recipe or of one of ``mixes``."""
        if deployment == MIXED:
            return self._quantized(INTEGER, self._mixed())
        if deployment == FREE:
            return self._quantized(INTEGER, self._free())
        return self._quantized(deployment, {})

    def _quantized(self, name: str, precisions: Mapping[str, str]) -> dict[str, Any]:
        """The knobs of a recipe. ``layers`` lists the layers with another precision, and the label counts them."""
        recipe, choices = RECIPES[name], self.choices
        knobs: dict[str, Any] = {"recipe": name}
        rounding = "minmax"
        static = recipe.kind == "static"
        if recipe.weight_bits < 16:
            roundings = ROUNDINGS if static or not self._dense() else ROUNDINGS | DENSE_ROUNDINGS
            rounding = choices.choose.one_of("rounding" if static else "rounding.float", tuple(roundings))
            knobs["algorithm"], knobs["granularity"] = roundings[rounding]
        layers = self._widened(recipe, dict(precisions) | dict(choices.constraints.precision))
        if rounding != "minmax":
            knobs["plain"] = self._plain(recipe, layers, knobs["algorithm"], knobs["granularity"])
        if static:
            io = choices.choose_io()
            native = io == "int8" or (_NATIVE[name] == "int16" and io != "float32")
            knobs["io"] = "native" if native else io
        if static or knobs.get("algorithm") == "gptq":
            knobs |= choices.choose_calibration()
        different = {layer: kind for layer, kind in layers.items() if kind != recipe.weight_type}
        return knobs | {"layers": tuple(sorted(different.items()))}

    def _widened(self, recipe: Recipe, precisions: Mapping[str, str]) -> dict[str, str]:
        """``precisions``, plus int8 for layers that do not support int4 if the recipe is int4."""
        able = {layer.name for layer in self.choices.constraints.model.layers_for("int4")}
        wide = [layer.name for layer in self._kernels() if recipe.weight_bits == 4 and layer.name not in able]
        return dict.fromkeys(wide, "int8") | dict(precisions)

    def _plain(self, recipe: Recipe, layers: Mapping[str, str], algorithm: str, granularity: str) -> tuple[str, ...]:
        """The layers that do not support this algorithm with this granularity."""
        found = []
        for layer in self._kernels():
            bits = BITS.get(layers.get(layer.name, recipe.weight_type), 32)
            width = layer.kernel_shape[0] if layer.type == "Dense" else layer.kernel_shape[-1]
            operators = [name for name in OPERATORS_OF_LAYER.get(layer.type, (layer.type,)) if name in WEIGHT_OPERATORS]
            scheme = Scheme(bits, algorithm, granularity)
            if any(why_not(operator, recipe, scheme, width=width) for operator in operators):
                found.append(layer.name)
        return tuple(found)

    def _kernels(self) -> list[LayerInfo]:
        return [layer for layer in self.choices.constraints.model.layers if layer.has_kernel]

    def _dense(self) -> bool:
        """True if dense layers have at least the share ``DENSE_SHARE`` of the weights."""
        sizes = {layer.name: layer.parameters for layer in self._kernels()}
        dense = [layer.name for layer in self._kernels() if layer.type in ("Dense", "FULLY_CONNECTED")]
        return sum(sizes[name] for name in dense) >= DENSE_SHARE * (sum(sizes.values()) or 1)

    def _mixed(self) -> dict[str, str]:
        """The k most sensitive layers stay float32, the m least sensitive with int4 support get int4, others int8."""
        choose, ranking = self.choices.choose, self.choices.ranking
        keep = choose.level("mixed.float32", [k for k in (0, 1, 2, 3) if k < len(ranking)])
        floats = set(ranking[:keep])
        able = [name for name in self.choices.able("int4") if name not in floats][::-1]
        options = {round(share * len(able)) for share in SHARES}
        share = choose.level("mixed.int4", SHARES) if len(options) > 1 else 0.0
        small = able[: round(share * len(able))]
        return dict.fromkeys(floats, "float32") | dict.fromkeys(small, "int4")

    def _free(self) -> dict[str, str]:
        int4, fixed = set(self.choices.able("int4")), dict(self.choices.constraints.precision)
        options = {True: ("int8", "int4", "float32"), False: ("int8", "float32")}
        return {
            name: self.choices.choose.one_of(f"layer.{name}", options[name in int4])
            for name in self.choices.ranking
            if name not in fixed
        }
