"""Converts a reconstructed float file to a quantized file with exactly the integer weights of the reconstruction."""

from collections.abc import Mapping

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.quantization.quantizer import quantize_operators
from litetuner.spaces.quantization.quantizer_policy import RECIPES, Recipe, Scheme, why_not
from litetuner.spaces.reconstruction.sequence import Reconstructed, Treatment
from litetuner.spaces.tflite.operators import Operator, names_of_layers, read_operators
from litetuner.spaces.tflite.weights import weights_of_operators

INT8, FLOAT32 = ARITHMETICS = "int8", "float32"  # the type that a file computes in; weights are integers in both cases
_RECIPES = {INT8: RECIPES["static_wi8_ai8"], FLOAT32: RECIPES["weight_only_wi8"]}


def quantized(
    found: Reconstructed,
    treatments: Mapping[int, Treatment],
    calibration: np.ndarray,
    io: str = "native",
    arithmetic: str = INT8,
) -> bytes:
    """The quantized file with int8 or float32 activations. Untreated operators get int8 weights per channel.

    ``calibration`` and ``io`` (see ``quantize``) are only used for int8 activations.

    Raises ``BuildFailed`` if the weights of a layer are not its integers. Also raises what ``quantize_operators``
    raises.
    """
    before = _weighted(found.file)
    recipe = _RECIPES[arithmetic]
    schemes = {operator.index: _scheme(operator, treatments.get(operator.index), recipe) for operator in before}
    file = quantize_operators(found.file, recipe, schemes, calibration, io)
    after = [operator.index for operator in _weighted(file)]  # the order is the same as before
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
    """Verify that the integers read back fulfill each layer's treatment. Raises ``BuildFailed`` with the layer."""
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
