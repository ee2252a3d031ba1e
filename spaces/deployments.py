"""The part of the space that deploys a model: which file is made of it, at which precision, rounded and calibrated how."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from litetuner.spaces.choices import COMPOSED, Chooser, make, others
from litetuner.spaces.info import LayerInfo
from litetuner.spaces.quantization.policy import BITS, RECIPES, Recipe, Scheme, why_not
from litetuner.spaces.rules import SPARSE_RECIPES, SpaceConstraints
from litetuner.spaces.step import Stage, Step
from litetuner.spaces.steps import STEPS
from litetuner.spaces.tflite.weight_operators import OPERATORS_OF_LAYER, WEIGHT_OPERATORS

FREE_LAYERS = 24  # so many layers get a free choice each; above, only the ranked choices are offered
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# (algorithm, granularity) by name, the usual one first. Which pay was measured: docs/techniques.md.
ROUNDINGS: dict[str, tuple[str, str]] = {
    "minmax": ("minmax", "channel"),
    "mse_tensor": ("mse", "tensor"),
    "octav_tensor": ("octav", "tensor"),
    "mse": ("mse", "channel"),
    "octav": ("octav", "channel"),
}
DENSE_ROUNDINGS: dict[str, tuple[str, str]] = {  # for dense layers alone, and only where ranges are not static
    "gptq": ("gptq", "channel"),
    "octav_block32": ("octav", "block32"),
    "hadamard": ("hadamard", "channel"),
}
DENSE_SHARE = 0.25  # of all kernels; below, what only dense layers take is not worth a trial
# (calibration, selection) by name.
CALIBRATIONS: dict[str, tuple[int, str]] = {
    "usual": (0, "balanced"),
    "spread50": (50, "spread"),
    "spread300": (300, "spread"),
    "random1000": (1000, "random"),
    "extremes50": (50, "extremes"),
}
_SPARSE = ("float32", "float16")  # conversions whose zeros can be left out
_NATIVE = {"static_wi8_ai8": "int8", "static_wi8_ai16": "int16"}


@dataclasses.dataclass(frozen=True)
class Deployments:
    """What can be made of a trained or untouched model. ``may`` tells whether the user allows a step."""

    around: SpaceConstraints
    ranking: tuple[str, ...]
    io: tuple[str, ...]
    may: Callable[[str], bool]

    def names(self) -> tuple[str, ...]:
        """The deployments of a model that is not quantization-aware; always the same ones in a run, as Optuna wants."""
        calibrated = self.around.has_training_data
        found = ["float32"] if self.may("float32") or self.around.steps is None else []
        for name in ("float16", "dynamic", "int8", "int16x8"):
            if self._converts() and self.may(name) and (calibrated or not STEPS[name].needs_calibration):
                found.append(name)
        if self._converts():
            needs = STEPS if calibrated else {name for name, kind in STEPS.items() if not kind.needs_calibration}
            found += [name for name in others(Stage.CONVERT, self.may) if name in needs]
        if self.around.precision:  # converters know nothing of layers
            found = []
        if self.may("ptq"):
            able = [name for name in STEPS["ptq"].choices("recipe") if self._recipe(name)]
            found += [f"ptq_{recipe}" for recipe in able]
            if "static_wi8_ai8" in able and self.ranking:
                found.append("mixed")
                if 1 < len(self.ranking) <= FREE_LAYERS:
                    found.append("layers")
        return tuple(found) or ("float32",)

    def _converts(self) -> bool:
        """Is there a model to convert? A ``.tflite`` can only be rewritten."""
        return self.around.model.source != "tflite"

    def _recipe(self, name: str) -> bool:
        if name in _NATIVE:
            takes = self.io if len(self.io) == 1 else ("float32",)
            fits = takes[0] in ("float32", _NATIVE[name]) or (takes[0] == "uint8" and _NATIVE[name] == "int8")
            return self.around.has_training_data and fits
        if name == "weight_only_wf16":  # the conversion to float16 says the same of a model
            return not self._converts() and not self.around.precision
        return True

    def choose(self, choose: Chooser, trained: Sequence[str]) -> tuple[Step, ...]:
        """The steps of one deployment of a model on which the steps named ``trained`` were done."""
        options = self.names()
        chosen = choose.one_of("deploy", options) if len(options) > 1 else options[0]
        if chosen == "int8":
            scales = choose.one_of("int8.scales", STEPS["int8"].choices("scales"))
            return (_make("int8", io=self.ends(choose), scales=scales, **self._calibration(choose)),)
        if chosen == "int16x8":
            return (_make("int16x8", **self._calibration(choose)),)
        if chosen == "mixed":
            return self._quantized(choose, "static_wi8_ai8", self._mixed(choose))
        if chosen == "layers":
            return self._quantized(choose, "static_wi8_ai8", self._free(choose))
        if chosen not in COMPOSED and chosen in STEPS:
            return (make(choose, chosen, {}),)
        recipe = chosen.removeprefix("ptq_")
        made = (_make(chosen),) if recipe == chosen else self._quantized(choose, recipe, {})
        if "prune" in trained and self.may("sparse") and (chosen in _SPARSE or recipe in SPARSE_RECIPES):
            return (*made, _make("sparse")) if choose.one_of("sparse", ("no", "yes")) != "no" else made
        return made

    def ends(self, choose: Chooser) -> str:
        """The type of input and output."""
        return choose.one_of("io", self.io) if len(self.io) > 1 else self.io[0]

    def _calibration(self, choose: Chooser) -> dict[str, Any]:
        count, selection = CALIBRATIONS[choose.one_of("calibration", tuple(CALIBRATIONS))]
        return {"calibration": count, "selection": selection}

    def _quantized(self, choose: Chooser, name: str, precisions: Mapping[str, str]) -> tuple[Step, ...]:
        """A float32 file quantized by a recipe. Layers that cannot take it are named, and the label counts them."""
        recipe = RECIPES[name]
        knobs: dict[str, Any] = {}
        rounding = "minmax"
        if recipe.weight_bits < 16:
            static = recipe.kind == "static"
            roundings = ROUNDINGS if static or not self._dense() else ROUNDINGS | DENSE_ROUNDINGS
            rounding = choose.one_of("rounding" if static else "rounding.float", tuple(roundings))
            knobs["algorithm"], knobs["granularity"] = roundings[rounding]
        layers = self._widened(recipe, dict(precisions) | dict(self.around.precision))
        if rounding != "minmax":
            knobs["plain"] = self._plain(recipe, layers, knobs["algorithm"], knobs["granularity"])
        if recipe.kind == "static":
            ends = self.ends(choose)
            native = ends == "int8" or (_NATIVE[name] == "int16" and ends != "float32")
            knobs["io"] = "native" if native else ends
        if recipe.kind == "static" or knobs.get("algorithm") == "gptq":
            knobs |= self._calibration(choose)
        different = {layer: kind for layer, kind in layers.items() if kind != recipe.weight_type}
        return (_make("float32"), _make("ptq", recipe=name, layers=tuple(sorted(different.items())), **knobs))

    def _widened(self, recipe: Recipe, precisions: Mapping[str, str]) -> dict[str, str]:
        """``precisions`` with int8 for what the recipe would make int4 and cannot."""
        able = {layer.name for layer in self.around.model.layers_for("int4")}
        wide = [layer.name for layer in self._kernels() if recipe.weight_bits == 4 and layer.name not in able]
        return dict.fromkeys(wide, "int8") | dict(precisions)

    def _plain(self, recipe: Recipe, layers: Mapping[str, str], algorithm: str, granularity: str) -> tuple[str, ...]:
        """The layers that know neither the algorithm nor the granularity, or not both."""
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
        return [layer for layer in self.around.model.layers if layer.has_kernel]

    def _dense(self) -> bool:
        """Do dense layers hold a good part of the weights?"""
        sizes = {layer.name: layer.parameters for layer in self._kernels()}
        dense = [layer.name for layer in self._kernels() if layer.type in ("Dense", "FULLY_CONNECTED")]
        return sum(sizes[name] for name in dense) >= DENSE_SHARE * (sum(sizes.values()) or 1)

    def _int4(self) -> list[str]:
        """Layers that can take int4, the most sensitive first."""
        able = {layer.name for layer in self.around.model.layers_for("int4")}
        ranked = [name for name in self.ranking if name in able]
        return ranked + sorted(able - set(ranked))

    def _mixed(self, choose: Chooser) -> dict[str, str]:
        """The k most sensitive layers keep float, the m least sensitive that can go to int4; the others are int8."""
        keep = choose.level("mixed.float32", [k for k in (0, 1, 2, 3) if k < len(self.ranking)])
        floats = set(self.ranking[:keep])
        able = [name for name in self._int4() if name not in floats][::-1]
        options = {round(share * len(able)) for share in SHARES}
        share = choose.level("mixed.int4", SHARES) if len(options) > 1 else 0.0
        small = able[: round(share * len(able))]
        return dict.fromkeys(floats, "float32") | dict.fromkeys(small, "int4")

    def _free(self, choose: Chooser) -> dict[str, str]:
        int4, fixed = set(self._int4()), dict(self.around.precision)
        return {
            name: choose.one_of(f"layer.{name}", ("int8", "int4", "float32") if name in int4 else ("int8", "float32"))
            for name in self.ranking
            if name not in fixed
        }


def _make(name: str, **knobs: Any) -> Step:
    return STEPS[name](**knobs)
