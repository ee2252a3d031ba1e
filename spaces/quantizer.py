"""ai-edge-quantizer on a float ``.tflite``: a recipe for all operators, other precisions for some layers, and proof.

A recipe finds operators by a regular expression over their output names, and one that matches nothing raises nothing: so
layers are mapped to operators first, names are escaped, and the weights of the finished file are read back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.conversion import first_meaningful_line
from litetuner.spaces.errors import BuildFailed, Refused, nearest
from litetuner.spaces.flatbuffer import Operator, read_operators, weights_by_layer
from litetuner.spaces.tf import quiet_stdout

PRECISIONS = ("float32", "int8", "int4")
_BITS = {"int8": 8, "int4": 4}
_OTHER_NAMES = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}  # what the quantizer calls an operator
_SCOPE_LENGTH = 10_000  # the quantizer cuts longer scopes


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How all operators are quantized: ``kind`` is dynamic, weight_only or static; activation bits only matter for static."""

    kind: str
    weight_bits: int
    activation_bits: int = 8

    @property
    def weight_type(self) -> str:
        return f"int{self.weight_bits}"


RECIPES: dict[str, Recipe] = {
    "dynamic_wi8": Recipe("dynamic", 8),
    "dynamic_wi4": Recipe("dynamic", 4),
    "weight_only_wi8": Recipe("weight_only", 8),
    "weight_only_wi4": Recipe("weight_only", 4),
    "static_wi8_ai8": Recipe("static", 8, 8),
    "static_wi8_ai16": Recipe("static", 8, 16),
}


def quantize(file: bytes, recipe: Recipe, layers: Sequence[tuple[str, str]], calibration: np.ndarray) -> bytes:
    """The quantized file. ``layers`` are (Keras layer name, precision) pairs that differ from the recipe.

    ``calibration`` (m, *sample) is used by static recipes only. Every operator with weights ends with the recipe's type or
    the one asked for its layer. Raises ``Refused`` where an operator cannot take its precision, ``BuildFailed`` where a layer
    is not to be found, where calibration data are not finite, or where the finished file does not hold what was asked.
    """
    from ai_edge_quantizer import quantizer as aeq

    names = [name for name, _ in layers]
    operators = read_operators(file)
    chosen = _operators_of(file, operators, names)
    try:
        with quiet_stdout():
            quantizer = aeq.Quantizer(bytearray(file))
            _set_base(quantizer, recipe)
            for name, precision in layers:
                _set_layer(quantizer, recipe, name, chosen[name], precision)
            ranges = _ranges(quantizer, file, calibration) if quantizer.need_calibration else None
            result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).quantized_model
    except (Refused, BuildFailed):
        raise
    except Exception as error:  # the library raises ValueError, RuntimeError, KeyError and more, without a common base
        raise BuildFailed(
            f"ai-edge-quantizer refuses the file: {type(error).__name__}: {first_meaningful_line(str(error))}"
        ) from error
    quantized = bytes(result or b"")
    _prove(operators, quantized, recipe, {chosen[name].index: (name, precision) for name, precision in layers})
    return quantized


def _operators_of(file: bytes, operators: Sequence[Operator], names: Sequence[str]) -> dict[str, Operator]:
    weights = weights_by_layer(file, names) if names else {}
    for name in names:
        if name not in weights:
            raise BuildFailed(
                f"no operator of the float file could be told to be layer {name!r}, so its precision cannot be set"
            )
    by_index = {operator.index: operator for operator in operators}
    return {name: by_index[weight.operator_index] for name, weight in weights.items()}


def _set_base(quantizer: Any, recipe: Recipe) -> None:
    from ai_edge_quantizer.qtyping import TFLOperationName

    _SETTERS[recipe.kind](quantizer, ".*", TFLOperationName.ALL_SUPPORTED, recipe, recipe.weight_bits)


def _set_layer(quantizer: Any, recipe: Recipe, name: str, operator: Operator, precision: str) -> None:
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    scope = (operator.output_name + ";")[:_SCOPE_LENGTH]
    regex = f"^{re.escape(scope)}$"
    try:
        kind = TFLOperationName(_OTHER_NAMES.get(operator.name, operator.name))
        if precision == "float32":
            quantizer.update_quantization_recipe(regex, kind, algorithm_key=AlgorithmName.NO_QUANTIZE)
        else:
            _SETTERS[recipe.kind](quantizer, regex, kind, recipe, _BITS[precision])
    except ValueError as error:
        raise Refused(
            f"{recipe.kind} {precision} does not exist for {operator.name}, which computes layer {name!r}"
        ) from error


def _set_dynamic(quantizer: Any, regex: str, operation: Any, recipe: Recipe, bits: int) -> None:
    quantizer.add_dynamic_config(regex, operation, num_bits=bits)


def _set_weight_only(quantizer: Any, regex: str, operation: Any, recipe: Recipe, bits: int) -> None:
    quantizer.add_weight_only_config(regex, operation, num_bits=bits)


def _set_static(quantizer: Any, regex: str, operation: Any, recipe: Recipe, bits: int) -> None:
    quantizer.add_static_config(regex, operation, activation_num_bits=recipe.activation_bits, weight_num_bits=bits)


_SETTERS = {"dynamic": _set_dynamic, "weight_only": _set_weight_only, "static": _set_static}


def _ranges(quantizer: Any, file: bytes, calibration: np.ndarray) -> Any:
    """The smallest and largest value of every tensor over all samples.

    The quantizer's own default is a moving average of each sample's range: on inputs whose features differ from sample to
    sample (tables) it clips most of them, and a model that is perfect at int8 becomes useless.
    """
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    samples = _samples(file, calibration)
    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(quantizer.get_quantization_recipe())
    measured = calibrator.Calibrator(file, num_threads=1, qsv_update_func=min_max_update)
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that cannot be turned off
        measured.calibrate(samples, recipes)
    return measured.get_model_qsvs()


def _samples(file: bytes, calibration: np.ndarray) -> dict[str, list[dict[str, np.ndarray]]]:
    """Calibration samples as the quantizer wants them: by signature, then by input name."""
    from ai_edge_litert.interpreter import Interpreter

    if not len(calibration):
        raise Refused("a static recipe needs calibration samples, and there is no training data to take them from")
    if np.issubdtype(calibration.dtype, np.floating) and not np.isfinite(calibration).all():
        # One NaN gives, without an error, a file that kills the process which loads it.
        raise BuildFailed(
            "the calibration samples hold NaN or infinity, so no ranges can be measured on them. Check the data."
        )
    interpreter = Interpreter(model_content=file)
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        raise BuildFailed(f"the float file has {len(signatures)} signatures; calibration needs exactly one")
    (key, ends), dtype = next(iter(signatures.items())), interpreter.get_input_details()[0]["dtype"]
    return {key: [{ends["inputs"][0]: np.asarray(sample, dtype=dtype)[None]} for sample in calibration]}


def _prove(before: Sequence[Operator], file: bytes, recipe: Recipe, layers: Mapping[int, tuple[str, str]]) -> None:
    """Every operator with weights has the type that was asked for; quantizing inserts operators and keeps their order."""
    weighted = [operator for operator in before if operator.weight_index is not None]
    after = [operator for operator in read_operators(file) if operator.weight_index is not None]
    if [operator.name for operator in weighted] != [operator.name for operator in after]:
        raise BuildFailed(
            "the quantized file does not have the float file's operators with weights, so it cannot be proved"
        )
    for old, new in zip(weighted, after, strict=True):
        name, asked = layers.get(old.index, ("", recipe.weight_type))
        if new.weight_dtype == asked:
            continue
        if name:
            raise BuildFailed(
                f"layer {name!r} was to be {asked}, and its weights are {new.weight_dtype} in the quantized file"
            )
        raise Refused(
            f"{recipe.kind} {asked} leaves {old.name} {_last_name(old)!r} in {new.weight_dtype}: name its layer among the "
            "layers, with float32 or another precision"
        )


def _last_name(operator: Operator) -> str:
    return operator.output_name.split(";")[-1]


def check_names(recipe: str, layers: Sequence[tuple[str, str]]) -> None:
    """Raise ``Refused`` for a recipe or a precision that does not exist, and for a layer that is named twice."""
    if recipe not in RECIPES:
        raise Refused(f"aeq: there is no recipe {recipe!r}{nearest(recipe, RECIPES)}; known: {', '.join(RECIPES)}")
    names = [name for name, _ in layers]
    for name, precision in layers:
        if precision not in PRECISIONS:
            raise Refused(
                f"aeq: {name} is to be {precision!r}{nearest(precision, PRECISIONS)}; known: {', '.join(PRECISIONS)}"
            )
        if names.count(name) > 1:
            raise Refused(f"aeq: layer {name!r} is named {names.count(name)} times")
