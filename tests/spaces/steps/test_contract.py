"""What every step must do, run over the registry: a new step is tested by existing."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.step import Stage, Step
from litetuner.spaces.steps import STEPS

from .conftest import run, weights_equal


def default(name: str) -> Step:
    """The step with its defaults, trained for a few steps only."""
    kind = STEPS[name]
    short = {"epochs": 0.1} if "epochs" in {field.name for field in dataclasses.fields(kind)} else {}
    return kind(**short)


@pytest.fixture(scope="module")
def sparse_file(pruned: Any, context: Context) -> bytes:
    """A float file that any rewrite can take, sparse encoding too."""
    from litetuner.spaces.steps.float32 import Float32
    from litetuner.spaces.steps.prune import Prune

    return Float32().apply(Prune(sparsity=0.8).apply(pruned, dataclasses.replace(context, untrained=True)), context)


@pytest.mark.parametrize("name", STEPS)
def test_it_is_a_value(name: str) -> None:
    step = default(name)
    assert step == default(name)
    assert hash(step) == hash(default(name))
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.name = "other"  # type: ignore[misc]
    candidate = Candidate((step,))
    assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) == candidate


@pytest.mark.parametrize("name", STEPS)
def test_it_says_what_it_is(name: str) -> None:
    kind = STEPS[name]
    assert kind.name == name
    assert isinstance(kind.stage, Stage)
    assert kind.__doc__
    assert kind.apply.__doc__
    assert "+" not in default(name).label()  # it joins the parts of a candidate's label
    for field in dataclasses.fields(kind):
        assert field.metadata.get("help"), f"{name}.{field.name} has no help"
        choices = field.metadata["choices"]
        assert choices is None or field.default in choices


@pytest.mark.parametrize("name", [name for name, kind in STEPS.items() if kind.stage <= Stage.TRAIN])
def test_it_makes_a_model_of_a_model(name: str, model: Any, context: Context) -> None:
    before, layers = model.get_weights(), list(model.layers)
    first, second = (default(name).apply(model, context) for _ in range(2))
    assert weights_equal(before, model.get_weights())
    assert not {id(layer) for layer in layers} & {id(layer) for layer in first.layers}
    assert weights_equal(first.get_weights(), second.get_weights())
    assert np.isfinite(first(context.x_train[:4]).numpy()).all()


@pytest.mark.parametrize("name", [name for name, kind in STEPS.items() if kind.stage is Stage.CONVERT])
def test_it_makes_a_file_of_a_model(name: str, model: Any, context: Context) -> None:
    before = model.get_weights()
    first, second = (default(name).apply(model, context) for _ in range(2))
    assert weights_equal(before, model.get_weights())
    assert first == second
    assert run(first, context.x_train[:2]).shape == (2, 10)


@pytest.mark.parametrize("name", [name for name, kind in STEPS.items() if kind.stage is Stage.REWRITE])
def test_it_makes_a_file_of_a_file(name: str, sparse_file: bytes, context: Context) -> None:
    subject = bytearray(sparse_file)
    first, second = (default(name).apply(bytes(subject), context) for _ in range(2))
    assert bytes(subject) == sparse_file
    assert first == second
    assert run(first, context.x_train[:2]).shape == (2, 10)
