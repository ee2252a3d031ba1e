"""What a label says of the types of weights, for conversions too, is read back from the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.building.finish import weight_type_invariants
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.step import Stage, Step
from litetuner.spaces.steps.dynamic import Dynamic
from litetuner.spaces.steps.float16 import Float16
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.int16x8 import Int16x8
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.steps.slim import Slim
from litetuner.spaces.tflite.invariants import Invariant, verify_invariants
from litetuner.spaces.tflite.weights import weights_by_layer

X = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
CONTEXT = Context(X[:0], np.zeros(0), X, loss="mse", batch_size=1, seed=0)
NAMES = ("large", "small")


@pytest.fixture(scope="module")
def network() -> Any:
    """Two dense layers, of 2,048 and of 128 weights."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    source = tf_keras.layers.Input((64,))
    x = tf_keras.layers.Dense(32, name="large")(source)
    return tf_keras.Model(source, tf_keras.layers.Dense(4, name="small")(x))


def built(steps: tuple[Step, ...], model: Any) -> bytes:
    subject = model
    for step in steps:
        subject = step.apply(subject, CONTEXT)
    return bytes(subject)


@pytest.mark.parametrize(
    ("steps", "types"),
    [
        ((Float32(),), ("float32", "float32")),
        ((Float16(),), ("float16", "float16")),
        ((Dynamic(),), ("int8", "float32")),
        ((Int8(calibration=50, selection="random"),), ("int8", "int8")),
        ((Int16x8(),), ("int8", "int8")),
        ((Float32(), Ptq("dynamic_wi8", (("small", "float32"),))), ("int8", "float32")),
        ((Float32(), Ptq("weight_only_wf16")), ("float16", "float16")),
    ],
)
def test_types_are_promised_and_held(steps: tuple[Step, ...], types: tuple[str, str], network: Any) -> None:
    weights = weights_by_layer(built(steps, network), NAMES)
    promised = weight_type_invariants(Candidate((*steps, Slim())), weights)
    assert promised == [(name, "weight_type", kind) for name, kind in zip(weights, types, strict=True)]
    assert all(finding.ok for finding in verify_invariants([Invariant(*each) for each in promised], weights))


def test_a_file_of_another_kind_breaks_the_promise(network: Any) -> None:
    weights = weights_by_layer(built((Float32(),), network), NAMES)
    promised = weight_type_invariants(Candidate((Int8(), Slim())), weights)
    findings = verify_invariants([Invariant(*each) for each in promised], weights)
    assert [(item.verified, item.ok) for item in findings] == [("float32", False)] * 2


def test_every_conversion_answers() -> None:
    from litetuner.spaces.steps import STEPS

    assert all(hasattr(kind, "weight_types") for kind in STEPS.values() if kind.stage is Stage.CONVERT)
