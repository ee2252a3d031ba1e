"""Precision by layer: the user's names, from the configuration to the operator in the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.info import LayerInfo, ModelInfo
from litetuner.spaces.quantization.precision import fixed_precision
from litetuner.spaces.rules import SpaceConstraints, broken_rules
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.tflite.weights import weights_by_layer

X = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
CONTEXT = Context(X[:0], np.zeros(0), X, "mse", 1, 0)


def facts(*layers: tuple[str, str, tuple[int, ...], dict[str, str]]) -> ModelInfo:
    made = tuple(LayerInfo(name, kind, 9, shape, (None, 1), no) for name, kind, shape, no in layers)
    return ModelInfo("m", "0", "keras3", (None, 8, 8, 3), "float32", (None, 4), 9, made, "softmax")


MODEL = facts(
    ("conv.1", "Conv2D", (3, 3, 3, 8), {}),
    ("deep", "DepthwiseConv2D", (3, 3, 8, 1), {"int4": "DEPTHWISE_CONV_2D takes no 4-bit weights"}),
    ("norm", "BatchNormalization", (8,), {}),
    ("twin", "Dense", (8, 4), {}),
    ("twin", "Dense", (4, 4), {}),
    ("a=b", "Dense", (4, 4), {}),
)


def test_names_are_taken_literally() -> None:
    assert fixed_precision(["conv.1=int4", "a=b=float32", " deep = int8 "], MODEL, None) == (
        ("a=b", "float32"),
        ("conv.1", "int4"),
        ("deep", "int8"),
    )
    assert fixed_precision([], MODEL, frozenset({"prune"})) == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("conv_1=int8", r"no layer 'conv_1' \(did you mean 'conv.1'\?\)"),
        ("conv.1", "not layer=precision"),
        ("conv.1=int5", "did you mean 'int"),
        ("conv.*=int8", "no layer 'conv.*'"),
        ("twin=int8", "2 layers are called 'twin'"),
        ("norm=int8", "has no weights"),
        ("deep=int4", "DEPTHWISE_CONV_2D takes no 4-bit weights"),
    ],
)
def test_what_cannot_be_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        fixed_precision([text], MODEL, None)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ConfigError, match="float32 and int8"):
        fixed_precision(["deep=float32", "deep=int8"], MODEL, None)
    with pytest.raises(ConfigError, match="ptq"):
        fixed_precision(["deep=float32"], MODEL, frozenset({"int8"}))


def test_the_space_and_the_rules_keep_to_it() -> None:
    fixed = (("conv.1", "float32"), ("deep", "int8"))
    around = SpaceConstraints(MODEL, True, precision=fixed)
    space = Space(around, ranking=("conv.1", "deep", "a=b"))
    options = space.deployments()
    assert options and all(name.startswith("ptq_") or name in ("mixed", "layers") for name in options)
    for name in options:
        for rounding in ("minmax", "mse_tensor", "octav"):
            script = {"deploy": name, "rounding": rounding, "rounding.float": rounding, "mixed.int4": 1.0}
            candidate = space.suggest(ScriptedChoices(script))
            assert not [why for why in broken_rules(candidate, around) if "precision" in why]
            assert dict(candidate.steps[1].knobs()["layers"])["conv.1"] == "float32"
    loose = Space(SpaceConstraints(MODEL, True), ranking=("conv.1", "deep")).suggest(
        ScriptedChoices({"deploy": "int8"})
    )
    assert "--precision wants float32 for conv.1, and it would be int8" in broken_rules(loose, around)[0]


@pytest.fixture(scope="module")
def awkward() -> bytes:
    """Names with the signs of regular expressions; one the beginning of another; layers that are fused with what follows."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = tf_keras.layers
    source = layers.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, name="conv.1")(source)))
    x = layers.Conv2D(8, 1, activation="relu", name="convx1")(x)
    inner_in = layers.Input((6, 6, 8))
    inner = tf_keras.Model(
        inner_in, layers.Conv2D(8, 3, activation="relu", name="conv.1-inner")(inner_in), name="block"
    )
    x = layers.GlobalAveragePooling2D()(inner(x))
    x = layers.Dense(8, activation="relu", name="dense")(x)
    return Float32().apply(tf_keras.Model(source, layers.Dense(4, activation="softmax", name="dense_1")(x)), CONTEXT)


NAMES = ("conv.1", "convx1", "conv.1-inner", "dense", "dense_1")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["float32", "int4"])
def test_one_layer_and_no_other(name: str, precision: str, awkward: bytes) -> None:
    file = Ptq("static_wi8_ai8", ((name, precision),)).apply(awkward, CONTEXT)
    found: dict[str, Any] = {layer: weight.dtype for layer, weight in weights_by_layer(file, NAMES).items()}
    assert found == dict.fromkeys(NAMES, "int8") | {name: precision}
