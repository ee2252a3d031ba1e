"""litert-quantizer's algorithms, granularities and ends: every combination is what it says in the file, or refused in words."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.quantization.quantizer_policy import ALGORITHMS, GRANULARITIES, RECIPES, Scheme, why_not
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.weights import weights_by_layer

from .conftest import run

GENERATOR = np.random.default_rng(11)
X = GENERATOR.normal(size=(64, 64)).astype(np.float32)
CONTEXT = Context(X[:0], np.zeros(0), X, "mse", 1, 0)
NAMES = ("first", "second")
COMBINATIONS = list(itertools.product(RECIPES, ALGORITHMS, GRANULARITIES))


@pytest.fixture(scope="module")
def dense_file() -> bytes:
    """64 inputs, 64 hidden, 32 outputs; random weights with a heavy tail."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    source = tf_keras.layers.Input((64,))
    x = tf_keras.layers.Dense(64, activation="relu", name="first")(source)
    model = tf_keras.Model(source, tf_keras.layers.Dense(32, name="second")(x))
    for name in NAMES:
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        layer.set_weights([GENERATOR.laplace(scale=0.1, size=kernel.shape).astype(np.float32), bias])
    return Float32().apply(model, CONTEXT)


def legal(recipe: str, algorithm: str, granularity: str) -> bool:
    bits = RECIPES[recipe].weight_bits
    return why_not("FULLY_CONNECTED", RECIPES[recipe], Scheme(bits, algorithm, granularity), 2, 64) is None


def mistake(file: bytes, expected: np.ndarray, recipe: str, granularity: str) -> str | None:
    """What differs in a file from what its recipe says."""
    for name, weight in weights_by_layer(file, NAMES).items():
        if weight.dtype != RECIPES[recipe].weight_type:
            return f"{name} holds {weight.dtype}"
        if weight.dtype != "float16" and weight.granularities != (granularity,):
            return f"{name} has scales by {weight.granularities}"
    if recipe == "static_wi8_ai16":  # runs, and is wrong for some models
        return None
    correlation = np.corrcoef(expected.ravel(), run(file, X[:16]).astype(np.float32).ravel())[0, 1]
    return None if correlation > (0.9 if "wi4" in recipe else 0.99) else f"outputs correlate by {correlation}"


def test_every_combination_that_exists_is_what_it_says(dense_file: bytes) -> None:
    expected = run(dense_file, X[:16])
    wrong = []
    for recipe, algorithm, granularity in (each for each in COMBINATIONS if legal(*each)):
        file = Ptq(recipe, algorithm=algorithm, granularity=granularity).apply(dense_file, CONTEXT)
        if said := mistake(file, expected, recipe, granularity):
            wrong.append(f"{recipe}, {algorithm}, {granularity}: {said}")
    assert not wrong, "\n".join(wrong)


def test_every_combination_that_does_not_exist_is_rejected(dense_file: bytes) -> None:
    wrong = []
    for recipe, algorithm, granularity in (each for each in COMBINATIONS if not legal(*each)):
        try:
            Ptq(recipe, algorithm=algorithm, granularity=granularity).apply(dense_file, CONTEXT)
        except Refused as error:
            if re.search(r"FULLY_CONNECTED|float16 is a cast", str(error)):
                continue
            wrong.append(f"{recipe}, {algorithm}, {granularity}: rejected for another reason: {error}")
        else:
            wrong.append(f"{recipe}, {algorithm}, {granularity}: accepted")
    assert not wrong, "\n".join(wrong)


def test_so_many_combinations_exist() -> None:
    """A new version of the library that offers more, or less, is noticed here."""
    counts = {
        recipe: sum(legal(recipe, *rest) for rest in itertools.product(ALGORITHMS, GRANULARITIES)) for recipe in RECIPES
    }
    assert counts["static_wi8_ai8"] == 6  # minmax, mse, octav by channel and by tensor
    assert counts["dynamic_wi4"] > counts["weight_only_wi4"] > 6  # blocks are for dynamic int4
    assert counts["weight_only_wf16"] >= 1


@pytest.mark.parametrize(("algorithm", "granularity"), [("mse", "tensor"), ("octav", "channel"), ("gptq", "channel")])
def test_layers_that_cannot_take_it_stay_plain(
    algorithm: str, granularity: str, float_file: bytes, context: Context
) -> None:
    """A convolutional net: gptq is for dense layers, and dynamic ranges by tensor are wrong for depthwise ones."""
    recipe = "weight_only_wi8"
    plain = ("stem", "depthwise", "pointwise") if algorithm == "gptq" else ("depthwise",)
    step = Ptq(recipe, algorithm=algorithm, granularity=granularity, plain=plain)
    found = weights_by_layer(step.apply(float_file, context), ["stem", "depthwise", "pointwise", "classes"])
    assert {name: weight.granularities[0] for name, weight in found.items()} == {
        name: "channel" if name in plain else granularity for name in found
    }
    assert len([line for line in step.details() if line.endswith("minmax by channel")]) == len(plain)
    if algorithm == "gptq":
        with pytest.raises(Refused, match=r"gptq does not exist for CONV_2D, which computes layer '.*stem"):
            Ptq(recipe, algorithm="gptq").apply(float_file, context)


def test_dynamic_depthwise_layers_by_tensor_are_refused(float_file: bytes, context: Context) -> None:
    with pytest.raises(Refused, match="chance level"):
        Ptq("dynamic_wi8", granularity="tensor").apply(float_file, context)


@pytest.mark.parametrize(("io", "dtype"), [("native", "int8"), ("float32", "float32"), ("uint8", "uint8")])
def test_ends(io: str, dtype: str, dense_file: bytes) -> None:
    artifact = read_artifact(Ptq(io=io).apply(dense_file, CONTEXT))
    assert (artifact.inputs[0].dtype, artifact.outputs[0].dtype) == (dtype, dtype)


def test_clipping_and_one_scale_deflate_better(dense_file: bytes) -> None:
    sizes = [
        read_artifact(Ptq(algorithm=algorithm, granularity=granularity).apply(dense_file, CONTEXT)).compressed_bytes
        for algorithm, granularity in (("minmax", "channel"), ("mse", "tensor"))
    ]
    assert sizes[1] < 0.95 * sizes[0]


def test_labels_are_short_and_details_say_the_rest() -> None:
    assert Ptq(algorithm="mse", granularity="tensor").label() == "int8 per-tensor"
    step = Ptq("dynamic_wi4", (("a", "int8"),), granularity="block32", plain=("a", "b"))
    assert step.label() == "dynamic int4 mixed"
    assert Ptq(io="float32", calibration=50, selection="spread").details() == [
        "ptq: float32 inputs and outputs",
        "ptq: calibrated on 50 samples (spread)",
    ]
    assert step.details() == [
        "ptq: one weight scale per block32",
        "ptq: a: int8",
        "ptq: a: minmax by channel",
        "ptq: b: minmax by channel",
    ]


def test_knobs_are_checked() -> None:
    for knobs, word in (
        ({"algorithm": "octave"}, "did you mean 'octav'"),
        ({"granularity": "block48"}, "block64"),
        ({"io": "int4"}, "native"),
        ({"selection": "spreading"}, "did you mean 'spread'"),
        ({"plain": ("a", "a")}, "twice"),
    ):
        with pytest.raises(Refused, match=word):
            Ptq(**knobs)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="static recipes"):
        Ptq("dynamic_wi8", io="uint8")


def test_gptq_needs_samples(dense_file: bytes) -> None:
    step = Ptq("weight_only_wi8", algorithm="gptq")
    assert step.needs_calibration
    with pytest.raises(Refused, match="calibration samples"):
        step.apply(dense_file, dataclasses.replace(CONTEXT, calibration=X[:0]))
