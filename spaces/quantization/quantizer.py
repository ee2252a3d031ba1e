"""Quantizes a float ``.tflite`` with litert-quantizer: a recipe for all operators, other precisions for some layers.

A quantizer's recipe selects operators by a regular expression for their output names, and a regular expression without
a match raises no error. So layers are mapped to operators first, names are escaped, and the weights of the finished
file are read back and verified.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.quantization.activation_ranges import activation_ranges
from litetuner.spaces.quantization.quantizer_policy import (
    BITS,
    OTHER_NAMES,
    Recipe,
    Scheme,
    add_config,
    granularity_of,
    why_not,
)
from litetuner.spaces.quantization.recurrent import recurrent_operators
from litetuner.spaces.quantization.scales import valid_scales
from litetuner.spaces.tf import quiet_stdout
from litetuner.spaces.tflite.conversion import first_meaningful_line
from litetuner.spaces.tflite.operators import Operator, read_operators
from litetuner.spaces.tflite.weights import weights_by_layer, weights_of_operators

_UNGRAINED = ("BATCH_MATMUL", "GATHER")  # the quantizer chooses the granularity of their scales itself
_SCOPE_LENGTH = 10_000  # the quantizer truncates longer scopes
Layers = Sequence[tuple[str, str]]  # (Keras layer name, precision)


@dataclasses.dataclass(frozen=True)
class WeightRounding:
    """How weights are rounded: the algorithm, and the granularity of scales.

    The layers of ``plain`` are rounded by min-max with one scale per channel instead.
    """

    algorithm: str = "minmax"
    granularity: str = "channel"
    plain: tuple[str, ...] = ()


def quantize(
    file: bytes, recipe: Recipe, layers: Layers, calibration: np.ndarray, rounding: WeightRounding, io: str = "native"
) -> bytes:
    """The quantized file. ``layers`` are the layers whose precision differs from the recipe.

    ``io`` is the input and output type of a static file; "native" is the type of its activations. Only static recipes
    and GPTQ use ``calibration`` (m, *sample). Every operator with weights gets the precision that the recipe or
    ``layers`` request.

    Raises ``Refused`` if an operator does not support its precision, or if a recurrent cell would keep float32 weights.
    Raises ``BuildFailed`` if a layer has no operator, if calibration data are not finite, or if the finished file is
    not what was requested.
    """
    operators = [operator for operator in read_operators(file) if operator.weight_index is not None]
    precisions = dict(layers)
    chosen = _operators_of(file, [*precisions, *(name for name in rounding.plain if name not in precisions)])
    names = {index: name for name, index in chosen.items()}
    schemes = {each.index: _scheme(recipe, precisions, rounding, names.get(each.index, "")) for each in operators}
    return quantize_operators(file, recipe, schemes, calibration, io, names)


def quantize_operators(
    file: bytes,
    recipe: Recipe,
    schemes: Mapping[int, Scheme],
    calibration: np.ndarray,
    io: str = "native",
    names: Mapping[int, str] | None = None,
) -> bytes:
    """``quantize`` with a scheme for each operator with weights, by index; error messages use the layer ``names``."""
    from litert_quantizer import quantizer as ptq

    operators = [operator for operator in read_operators(file) if operator.weight_index is not None]
    names = names or {}
    if kinds := recurrent_operators(file):
        raise Refused(
            f"litert-quantizer would keep the weights of {', '.join(kinds)} in float32, so the file would not be what its label "
            "says. The converter's own int8, dynamic or float16 conversion may work"
        )
    try:
        with quiet_stdout():
            quantizer = ptq.Quantizer(bytearray(file))
            _set_base(quantizer, recipe, io)
            for operator in operators:
                _set_operator(quantizer, recipe, operator, names.get(operator.index, ""), schemes[operator.index])
            ranges = activation_ranges(quantizer, file, calibration) if quantizer.need_calibration else None
            result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).quantized_model
    except (Refused, BuildFailed):
        raise
    except Exception as error:  # the library raises ValueError, RuntimeError, KeyError and more, without a common base
        raise BuildFailed(
            f"litert-quantizer rejects the file: {type(error).__name__}: {first_meaningful_line(str(error))}"
        ) from error
    quantized = valid_scales(bytes(result or b""), file)
    _verify(operators, quantized, recipe, schemes, names)
    return quantized


def _scheme(recipe: Recipe, precisions: Mapping[str, str], rounding: WeightRounding, name: str) -> Scheme:
    """The scheme for the operator of layer ``name``; "" is an operator that follows the recipe."""
    bits = BITS.get(precisions[name], 32) if name in precisions else recipe.weight_bits
    if bits == 16:
        return Scheme(bits, "cast")
    if bits == 32 or name in rounding.plain:
        return Scheme(bits)
    return Scheme(bits, rounding.algorithm, rounding.granularity)


def _operators_of(file: bytes, names: Sequence[str]) -> dict[str, int]:
    weights = weights_by_layer(file, names) if names else {}
    for name in names:
        if name not in weights:
            raise BuildFailed(
                f"no operator of the float file is known to belong to layer {name!r}, so its precision cannot be set"
            )
    return {name: weight.operator_index for name, weight in weights.items()}


def _set_base(quantizer: Any, recipe: Recipe, io: str) -> None:
    """Configure operators without weights: activations of static recipes, and the types of inputs and outputs."""
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import (
        ComputePrecision,
        OpQuantizationConfig,
        TensorDataType,
        TensorQuantizationConfig,
        TFLOperationName,
    )

    if recipe.kind != "static":
        return
    bits = recipe.activation_bits
    quantizer.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, activation_num_bits=bits, weight_num_bits=8)
    for side in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        if io == "float32":
            quantizer.update_quantization_recipe(".*", side, algorithm_key=AlgorithmName.NO_QUANTIZE)
        elif io == "uint8":
            unsigned = OpQuantizationConfig(
                activation_tensor_config=TensorQuantizationConfig(8, symmetric=False, dtype=TensorDataType.UINT),
                weight_tensor_config=TensorQuantizationConfig(8, symmetric=True, granularity=granularity_of("channel")),
                compute_precision=ComputePrecision.INTEGER,
                explicit_dequantize=False,
            )
            quantizer.update_quantization_recipe(".*", side, unsigned)


def _set_operator(quantizer: Any, recipe: Recipe, operator: Operator, name: str, scheme: Scheme) -> None:
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName

    scope = (operator.output_name + ";")[:_SCOPE_LENGTH]
    regex = f"^{re.escape(scope)}$"
    width = operator.weight_shape[-1] if operator.weight_shape else None
    reason = why_not(operator.name, recipe, scheme, operator.input_rank, width)
    if reason is not None:
        raise Refused(f"{reason}, which computes layer {name or _last_name(operator)!r}")
    if scheme.bits == 32 and operator.name in (*TFLOperationName, *OTHER_NAMES):
        kind = TFLOperationName(OTHER_NAMES.get(operator.name, operator.name))
        quantizer.update_quantization_recipe(regex, kind, algorithm_key=AlgorithmName.NO_QUANTIZE)
    elif scheme.bits < 32:
        add_config(quantizer, regex, operator.name, recipe, scheme)


def _verify(
    before: Sequence[Operator], file: bytes, recipe: Recipe, schemes: Mapping[int, Scheme], names: Mapping[int, str]
) -> None:
    """Verify that every operator with weights has the requested type and scales. Quantization keeps their order.

    Raises ``BuildFailed`` with the layer otherwise.
    """
    after = [operator for operator in read_operators(file) if operator.weight_index is not None]
    if [operator.name for operator in before] != [operator.name for operator in after]:
        raise BuildFailed(
            "the quantized file does not have the float file's operators with weights, so it cannot be verified"
        )
    weights = weights_of_operators(file, [operator.index for operator in after])
    for old, new in zip(before, after, strict=True):
        scheme, weight = schemes[old.index], weights[new.index]
        typed = weight.dtype == scheme.weight_type
        grained = scheme.bits > 8 or old.name in _UNGRAINED or scheme.granularity in weight.granularities
        if not (typed and grained):
            raise BuildFailed(
                f"layer {names.get(old.index) or _last_name(old)!r} was to be {scheme.weight_type} by {scheme.granularity}, and "
                f"its weights are {weight.dtype} by {'/'.join(weight.granularities) or 'nothing'} in the quantized file "
                f"({recipe.kind})"
            )


def _last_name(operator: Operator) -> str:
    return operator.output_name.split(";")[-1]
