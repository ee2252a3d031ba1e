"""litert-quantizer: every recipe, every override proved in the file, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.quantization.quantizer_policy import RECIPES
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.tflite.weights import weights_by_layer

from .conftest import LAYERS


def types(file: bytes) -> dict[str, str]:
    return {name: weight.dtype for name, weight in weights_by_layer(file, LAYERS).items()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe: str, float_file: bytes, context: Context, accuracy: Callable[[Any], float]) -> None:
    """static_wi8_ai16 runs and is wrong on this network too: only its types are looked at."""
    layers = (("depthwise", "int8"),) if recipe.endswith("wi4") else ()
    file = Ptq(recipe, layers).apply(float_file, context)
    expected = dict.fromkeys(LAYERS, RECIPES[recipe].weight_type) | dict(layers)
    assert types(file) == expected
    if recipe != "static_wi8_ai16":
        assert accuracy(file) > accuracy(float_file) - (0.25 if recipe.endswith("wi4") else 0.03)


@pytest.mark.parametrize("recipe", ["dynamic_wi8", "weight_only_wi8", "static_wi8_ai8"])
def test_layers_get_their_own_precision(
    recipe: str, float_file: bytes, context: Context, accuracy: Callable[[Any], float]
) -> None:
    layers = (("stem", "float32"), ("pointwise", "int4"))
    file = Ptq(recipe, layers).apply(float_file, context)
    assert types(file) == {"stem": "float32", "depthwise": "int8", "pointwise": "int4", "classes": "int8"}
    assert accuracy(file) > accuracy(float_file) - 0.1


def test_names_are_escaped_and_matched_whole(context: Context) -> None:
    """``a.b`` as a regular expression finds ``axb`` too, and ``dense`` is the beginning of ``dense_1``."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = tf_keras.layers
    source = layers.Input((8, 8, 1))
    x = layers.Dense(16, name="axb")(layers.Flatten()(source))
    x = layers.Dense(16, activation="relu", name="a.b")(layers.ReLU()(x))
    x = layers.Dense(16, activation="relu", name="dense")(x)
    network = tf_keras.Model(source, layers.Dense(10, name="dense_1")(x))
    file = Float32().apply(network, context)
    mixed = Ptq("dynamic_wi8", (("a.b", "float32"), ("dense", "int4"))).apply(file, context)
    found = {name: w.dtype for name, w in weights_by_layer(mixed, ["axb", "a.b", "dense", "dense_1"]).items()}
    assert found == {"axb": "int8", "a.b": "float32", "dense": "int4", "dense_1": "int8"}


def test_a_layer_that_the_recipe_leaves_out_must_be_named(float_file: bytes, context: Context) -> None:
    with pytest.raises(
        Refused, match=r"dynamic int4 does not exist for DEPTHWISE_CONV_2D, which computes layer '.*depthwise"
    ):
        Ptq("dynamic_wi4").apply(float_file, context)
    with pytest.raises(Refused, match="int4 does not exist for DEPTHWISE_CONV_2D, which computes layer 'depthwise'"):
        Ptq("static_wi8_ai8", (("depthwise", "int4"),)).apply(float_file, context)


def test_a_layer_that_is_not_in_the_file_fails(float_file: bytes, context: Context) -> None:
    with pytest.raises(BuildFailed, match="'nowhere'"):
        Ptq("dynamic_wi8", (("nowhere", "int4"),)).apply(float_file, context)


def test_calibration_is_checked(float_file: bytes, context: Context) -> None:
    broken = context.calibration.copy()
    broken[5, 1, 1, 0] = np.nan
    with pytest.raises(BuildFailed, match="NaN"):
        Ptq().apply(float_file, dataclasses.replace(context, calibration=broken))
    none = dataclasses.replace(context, calibration=context.calibration[:0])
    with pytest.raises(Refused, match="calibration"):
        Ptq().apply(float_file, none)
    assert types(Ptq("dynamic_wi8").apply(float_file, none))
    assert (Ptq().needs_calibration, Ptq("dynamic_wi8").needs_calibration) == (True, False)


def test_labels_details_promises_and_json() -> None:
    step = Ptq("static_wi8_ai8", (("stem", "float32"), ("pointwise", "int4"), ("classes", "float32")))
    assert step.label() == "int8 mixed"
    assert step.details() == ["ptq: stem: float32", "ptq: pointwise: int4", "ptq: classes: float32"]
    assert step.invariants(["stem", "depthwise"]) == [
        ("stem", "weight_type", "float32"),
        ("pointwise", "weight_type", "int4"),
        ("classes", "weight_type", "float32"),
    ]
    candidate = Candidate((step,))
    assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) == candidate


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(Refused, match="did you mean 'dynamic_wi8'"):
        Ptq("dynamic_w8")
    with pytest.raises(Refused, match="int5"):
        Ptq(layers=(("stem", "int5"),))
    with pytest.raises(Refused, match="2 times"):
        Ptq(layers=(("stem", "int8"), ("stem", "int4")))


def test_static_ranges_cover_every_sample() -> None:
    """Table-like inputs, a large value now and then: an averaged range would clip them (and the model with them)."""
    from litetuner.spaces.tf import load
    from litetuner.spaces.tflite.artifact import read_artifact

    load()
    import tf_keras

    generator = np.random.default_rng(5)
    x = generator.normal(size=(200, 12)).astype(np.float32)
    x[generator.random(x.shape) < 0.02] *= 6
    inputs = tf_keras.Input((12,), name="table")
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(4, name="dense")(inputs))
    context = Context(x[:0], np.zeros(0), x, "mse", 1, 0)
    file = Ptq(recipe="static_wi8_ai8").apply(Float32().apply(model, context), context)
    port = read_artifact(file).inputs[0]
    low, high = ((end - port.zero_point) * port.scale for end in (-128, 127))
    assert low <= x.min() + port.scale and high >= x.max() - port.scale
