"""Which quantization an operator's weights support, by litert-quantizer's policy and by known defects.

The defects are those of the quantizer and of the runtime.
"""

import dataclasses
import functools
from typing import Any

PRECISIONS = ("float32", "int8", "int4")
ALGORITHMS = ("minmax", "mse", "octav", "gptq", "hadamard")
GRANULARITIES = ("channel", "tensor", "block32", "block64", "block128", "block256")
IO = ("native", "float32", "uint8")  # input and output types of a file with static quantization
BITS = {"int8": 8, "int4": 4}
_KEYS = {  # the quantizer's names of the algorithms
    "minmax": "MIN_MAX_UNIFORM_QUANT",
    "mse": "MSE",
    "octav": "OCTAV",
    "gptq": "GPTQ",
    "hadamard": "HADAMARD_ROTATION",
    "cast": "FLOAT_CASTING",
}
OTHER_NAMES = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}  # operators that have another name in the quantizer


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How all operators are quantized. ``kind`` is dynamic, weight_only or static; only static uses activation bits."""

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
    """The reason why an operator does not support a recipe and scheme for its weights; ``None`` if it does.

    Support is read from the quantizer's policy. ``rank`` is the rank of the operator's input and ``width`` the last
    size of its weight, if they are known.
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
    """A quantization that the policy allows but the quantizer (0.10.0) or the runtime (2.3.0) gets wrong.

    An empty field matches everything.
    """

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
    from litert_quantizer.recipe_manager import RecipeManager

    try:
        add_config(RecipeManager(), ".*", operator, recipe, scheme)
    except ValueError:
        return False
    return True


def add_config(quantizer: Any, regex: str, operator: str, recipe: Recipe, scheme: Scheme) -> None:
    """Configure how a quantizer handles weights of operators. Raises ``ValueError`` if its policy does not allow it."""
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName

    kind = TFLOperationName(OTHER_NAMES.get(operator, operator))
    how = scheme.bits, granularity_of(scheme.granularity), AlgorithmName[_KEYS[scheme.algorithm]]
    if recipe.kind == "static":
        quantizer.add_static_config(regex, kind, recipe.activation_bits, *how)
    elif recipe.kind == "dynamic":
        quantizer.add_dynamic_config(regex, kind, *how)
    else:
        quantizer.add_weight_only_config(regex, kind, *how)


def granularity_of(name: str) -> Any:
    from litert_quantizer.qtyping import QuantGranularity

    size = name.removeprefix("block")
    return QuantGranularity(f"BLOCKWISE_{size}" if size != name else f"{name.upper()}WISE")
