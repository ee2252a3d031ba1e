"""A file whose recurrent cells keep float32 weights is not labeled as quantized."""

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.quantization.recurrent import recurrent_operators
from litetuner.spaces.step import Step
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.steps.reconstruct import Reconstruct

STEPS: tuple[Step, ...] = (
    Reconstruct(bits=4),
    *(Ptq(recipe) for recipe in ("static_wi8_ai8", "dynamic_wi8", "weight_only_wi8", "weight_only_wf16")),
)


def _file(cell: Any) -> tuple[bytes, Context]:
    import tf_keras

    samples = np.random.default_rng(0).normal(size=(40, 5, 3)).astype(np.float32)
    around = Context(samples, np.zeros(40), calibration=samples, loss=None, batch_size=8, seed=1)
    model = tf_keras.Sequential([tf_keras.Input((5, 3)), cell, tf_keras.layers.Dense(2)])
    return Float32().apply(model, around), around


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_no_step_keeps_the_weights_of_a_recurrent_cell_in_float_silently(name: str) -> None:
    import tf_keras

    file, around = _file(getattr(tf_keras.layers, name)(4))
    kind = {"LSTM": "UNIDIRECTIONAL_SEQUENCE_LSTM", "GRU": "WHILE"}[name]
    assert recurrent_operators(file) == [kind]
    for step in STEPS:
        with pytest.raises(Refused, match=rf"would keep the weights of {kind} in float32.*own int8"):
            step.apply(file, around)


def test_other_models_have_none() -> None:
    import tf_keras

    assert recurrent_operators(_file(tf_keras.layers.Conv1D(4, 2))[0]) == []


def test_a_loop_is_not_trained_for_integers() -> None:
    """Quantization-aware training ends in the integer conversion, which crashes on loops."""
    import dataclasses

    from litetuner.spaces.rules import SpaceConstraints
    from litetuner.spaces.space import ScriptedChoices, Space
    from tests.search.made_up import LAYERS, MODEL

    loop = dataclasses.replace(LAYERS[0], refusals={"integer": "a GRU becomes a loop"})
    script = {"train": "yes", "qat": "all", "epochs": 1.0}
    for layers, names in ((LAYERS, {"qat", "int8"}), ((loop, *LAYERS[1:]), set())):
        around = SpaceConstraints(dataclasses.replace(MODEL, layers=layers), True)
        candidate = Space(around, (), epochs=(1.0,)).suggest(ScriptedChoices(script))
        assert names == {step.name for step in candidate.steps} & {"qat", "int8"}, candidate.label
