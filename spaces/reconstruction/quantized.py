"""A reconstructed float file as one of integer weights: exactly those which were solved for."""

from collections.abc import Mapping

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.quantization.quantizer import quantize_operators
from litetuner.spaces.quantization.quantizer_policy import RECIPES, Recipe, Scheme, why_not
from litetuner.spaces.reconstruction.sequence import Reconstructed, Treatment
from litetuner.spaces.tflite.operators import Operator, names_of_layers, read_operators
from litetuner.spaces.tflite.weights import weights_of_operators

INT8, FLOAT32 = ARITHMETICS = "int8", "float32"  # what a file computes with; its weights are integers in any case
_RECIPES = {INT8: RECIPES["static_wi8_ai8"], FLOAT32: RECIPES["weight_only_wi8"]}


def quantized(
    found: Reconstructed,
    treatments: Mapping[int, Treatment],
    calibration: np.ndarray,
    io: str = "native",
    arithmetic: str = INT8,
) -> bytes:
    """The file with int8 activations, or with float32 ones. Operators that were not treated get int8 weights by channel.

    With float32 ones neither ``calibration`` nor ``io`` is used.

    Raises ``BuildFailed`` where a layer does not hold its integers, and what ``quantize_operators`` raises.
    ``io`` is as in ``quantize``.
    """
    before = _weighted(found.file)
    recipe = _RECIPES[arithmetic]
    schemes = {operator.index: _scheme(operator, treatments.get(operator.index), recipe) for operator in before}
    file = quantize_operators(found.file, recipe, schemes, calibration, io)
    after = [operator.index for operator in _weighted(file)]  # in the same order
    weights = weights_of_operators(file, after)
    for operator, index in zip(before, after, strict=True):
        integers = found.integers.get(operator.index)
        if integers is not None and not np.array_equal(weights[index].values, integers):
            changed = np.count_nonzero(weights[index].values != integers)
            raise BuildFailed(
                f"the quantizer stored {changed} of {integers.size} weights of {operator.output_name} in another way than "
                "they were solved for"
            )
    return file


def check_treatments(integers: Mapping[int, np.ndarray], treatments: Mapping[int, Treatment], file: bytes) -> None:
    """Do the integers, which were read back, hold what was asked, layer by layer? Raises ``BuildFailed`` with the layer."""
    names = {index: name for name, index in names_of_layers(read_operators(file)).items()}
    for at, treatment in treatments.items():
        values, zeros = np.unique(integers[at]).size, float(np.mean(integers[at] == 0))
        if values > treatment.most_values or zeros < treatment.sparsity - 1e-9:
            raise BuildFailed(
                f"layer {names[at]} was to have {treatment.text}, and has {values} different weights, {zeros:.1%} of them 0"
            )


def _weighted(file: bytes) -> list[Operator]:
    return [operator for operator in read_operators(file) if operator.weight_index is not None]


def _scheme(operator: Operator, treatment: Treatment | None, recipe: Recipe) -> Scheme:
    if treatment is not None:
        return Scheme(4 if treatment.bits == 4 else 8, granularity="tensor" if treatment.counted else "channel")
    return Scheme(32 if why_not(operator.name, recipe, Scheme(8), operator.input_rank) else 8)
