"""What an operator's weights can be quantized to: the policy of litert-quantizer, and known defects of it and the runtime."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from litetuner.spaces.errors import Refused, nearest

PRECISIONS = ("float32", "int8", "int4")
ALGORITHMS = ("minmax", "mse", "octav", "gptq", "hadamard")
GRANULARITIES = ("channel", "tensor", "block32", "block64", "block128", "block256")
IO = ("native", "float32", "uint8")  # types of a static file's input and output
BITS = {"int8": 8, "int4": 4}
KEYS = {  # the quantizer's names
    "minmax": "MIN_MAX_UNIFORM_QUANT",
    "mse": "MSE",
    "octav": "OCTAV",
    "gptq": "GPTQ",
    "hadamard": "HADAMARD_ROTATION",
    "cast": "FLOAT_CASTING",
}
OTHER_NAMES = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}  # what the quantizer calls an operator


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How all operators are quantized: ``kind`` is dynamic, weight_only or static; activation bits only matter for static."""

    kind: str
    weight_bits: int
    activation_bits: int = 8

    @property
    def weight_type(self) -> str:
        return "float16" if self.weight_bits == 16 else f"int{self.weight_bits}"


RECIPES: dict[str, Recipe] = {
    "dynamic_wi8": Recipe("dynamic", 8),
    "dynamic_wi4": Recipe("dynamic", 4),
    "weight_only_wi8": Recipe("weight_only", 8),
    "weight_only_wi4": Recipe("weight_only", 4),
    "weight_only_wf16": Recipe("weight_only", 16),
    "static_wi8_ai8": Recipe("static", 8, 8),
    "static_wi8_ai16": Recipe("static", 8, 16),
}


@dataclasses.dataclass(frozen=True)
class Scheme:
    """How the weights of one operator are quantized; ``bits`` 32 leaves them in float32."""

    bits: int
    algorithm: str = "minmax"
    granularity: str = "channel"

    @property
    def weight_type(self) -> str:
        return f"float{self.bits}" if self.bits > 8 else f"int{self.bits}"


def why_not(
    operator: str, recipe: Recipe, scheme: Scheme, rank: int | None = None, width: int | None = None
) -> str | None:
    """Why the weights of an operator cannot be quantized so, or ``None``. What exists is read from the quantizer's policy.

    ``rank`` is that of what the operator computes on, ``width`` the last size of its weight, where they are known.
    """
    if scheme.bits == 32:
        return None
    how = " ".join(part for part in (scheme.algorithm, scheme.granularity) if part not in ("minmax", "channel"))
    what = f"{recipe.kind} {scheme.weight_type}{' by ' + how if how else ''}"
    if scheme.bits == 16:
        casts = not how or how == "cast"
        scheme = Scheme(16, "cast")
        return None if casts and _exists(operator, recipe, scheme) else f"{what} does not exist for {operator}"
    for defect in _KNOWN_DEFECTS:
        if defect.holds(operator, recipe, scheme, rank):
            return f"{what} is not available for {operator}: {defect.reason}"
    block = scheme.granularity.removeprefix("block")
    if width is not None and block.isdigit() and width % int(block):
        return f"{what} is not available for {operator}: {width} inputs are not whole blocks"
    return None if _exists(operator, recipe, scheme) else f"{what} does not exist for {operator}"


@dataclasses.dataclass(frozen=True)
class _KnownDefect:
    """What the policy allows and the quantizer or the runtime gets wrong (0.10.0 and 2.3.0; empty: any)."""

    reason: str
    kind: str = ""
    algorithm: str = ""
    granularity: str = ""
    operator: str = ""
    above_rank: int = 0

    def holds(self, operator: str, recipe: Recipe, scheme: Scheme, rank: int | None) -> bool:
        granularity = "block" if scheme.granularity.startswith("block") else scheme.granularity
        requested = (recipe.kind, scheme.algorithm, granularity, operator)
        ours = (self.kind, self.algorithm, self.granularity, self.operator)
        fits = all(mine in ("", theirs) for mine, theirs in zip(ours, requested, strict=True))
        return fits and (not self.above_rank or (rank or 0) > self.above_rank)


_KNOWN_DEFECTS = (
    _KnownDefect("the quantizer does not collect a layer's inputs there, and writes a damaged file", "static", "gptq"),
    _KnownDefect("the library has no such search", "", "mse", "block"),
    _KnownDefect("the rotation knows no static ranges", "static", "hadamard"),
    _KnownDefect("the rotation runs wrongly on inputs of more than three axes", "", "hadamard", above_rank=3),
    _KnownDefect("the runtime computes it wrongly, to chance level", "dynamic", "", "tensor", "DEPTHWISE_CONV_2D"),
)


@functools.cache
def _exists(operator: str, recipe: Recipe, scheme: Scheme) -> bool:
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName
    from litert_quantizer.recipe_manager import RecipeManager

    try:
        kind = TFLOperationName(OTHER_NAMES.get(operator, operator))
        key, granularity = AlgorithmName[KEYS[scheme.algorithm]], granularity_of(scheme.granularity)
        SETTERS[recipe.kind](RecipeManager(), ".*", kind, recipe, scheme.bits, granularity, key)
    except ValueError:
        return False
    return True


def granularity_of(name: str) -> Any:
    from litert_quantizer.qtyping import QuantGranularity

    size = name.removeprefix("block")
    return QuantGranularity(f"BLOCKWISE_{size}" if size != name else f"{name.upper()}WISE")


def _set_dynamic(quantizer: Any, regex: str, kind: Any, recipe: Recipe, bits: int, granularity: Any, key: Any) -> None:
    quantizer.add_dynamic_config(regex, kind, bits, granularity, key)


def _set_weight_only(
    quantizer: Any, regex: str, kind: Any, recipe: Recipe, bits: int, granularity: Any, key: Any
) -> None:
    quantizer.add_weight_only_config(regex, kind, bits, granularity, key)


def _set_static(quantizer: Any, regex: str, kind: Any, recipe: Recipe, bits: int, granularity: Any, key: Any) -> None:
    quantizer.add_static_config(regex, kind, recipe.activation_bits, bits, granularity, key)


SETTERS = {"dynamic": _set_dynamic, "weight_only": _set_weight_only, "static": _set_static}


def check_names(recipe: str, layers: Sequence[tuple[str, str]], plain: Sequence[str] = (), **knobs: str) -> None:
    """Raise ``Refused`` for a recipe, precision, algorithm... that does not exist, and for a layer that is named twice."""
    for what, value, known in (
        ("recipe", recipe, tuple(RECIPES)),
        *((knob, value, _KNOWN[knob]) for knob, value in knobs.items()),
    ):
        if value not in known:
            raise Refused(f"ptq: there is no {what} {value!r}{nearest(value, known)}; known: {', '.join(known)}")
    names = [name for name, _ in layers]
    for name, precision in layers:
        if precision not in PRECISIONS:
            raise Refused(
                f"ptq: {name} is to be {precision!r}{nearest(precision, PRECISIONS)}; known: {', '.join(PRECISIONS)}"
            )
        if names.count(name) > 1:
            raise Refused(f"ptq: layer {name!r} is named {names.count(name)} times")
    if len(set(plain)) < len(plain):
        raise Refused("ptq: plain names a layer twice")
    rounded = knobs.get("algorithm", "minmax"), knobs.get("granularity", "channel")
    if RECIPES[recipe].weight_bits == 16 and rounded != ("minmax", "channel"):
        raise Refused("ptq: float16 is a cast, without algorithm and granularity")
    if RECIPES[recipe].kind != "static" and knobs.get("io", "native") != "native":
        raise Refused(f"ptq: {recipe} has float32 inputs and outputs; io is a knob of static recipes")


_KNOWN = {"algorithm": ALGORITHMS, "granularity": GRANULARITIES, "io": IO}
