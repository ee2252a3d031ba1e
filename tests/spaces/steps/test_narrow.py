"""The step narrow: fewer channels in a float .tflite without training, and what may follow it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.steps.channels import Channels
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.finetune import Finetune
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.narrow import Narrow
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.steps.reconstruct import Reconstruct
from litetuner.spaces.steps.slim import Slim
from litetuner.spaces.tflite.macs import file_macs
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.schema import read_model


def test_the_label_is_that_of_channels() -> None:
    assert Candidate((Float32(), Narrow(), Reconstruct(bits=4), Slim())).label == "channels -50% + reconstructed int4"
    assert Candidate((Float32(), Narrow(0.25), Ptq(), Slim())).label == "channels -25% + int8"
    measured = Narrow(0.25, spread="sensitivity")
    assert Candidate((Float32(), measured, Ptq(), Slim())).label == "channels -25% MACs + int8"


@pytest.mark.parametrize("knobs", [{"ratio": 0.0}, {"ratio": 1.0}, {"spread": "evenly"}, {"multiple": 0}])
def test_other_knobs_are_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="narrow"):
        Narrow(**knobs)


def test_what_it_does_not_go_with() -> None:
    def broken(*steps: Any) -> list[str]:
        return [said for step in steps for rule in step.rules for said in rule.broken(steps, None)]

    assert not broken(Float32(), Narrow(), Reconstruct(), Slim())
    assert not broken(Finetune(), Float32(), Narrow(), Slim())
    assert "float32" in broken(Int8(), Narrow())[0]
    assert "clusters" in broken(Cluster(), Float32(), Narrow())[0]
    assert "once" in broken(Channels(), Finetune(), Float32(), Narrow())[0]
    assert "before anything else" in broken(Float32(), Reconstruct(), Narrow())[0]


def test_files_are_narrower_and_still_accurate(
    float_file: bytes, context: Context, accuracy: Callable[[Any], float]
) -> None:
    file, notes = Narrow(multiple=4).apply_with_notes(float_file, context)
    shapes = [operator.weight_shape for operator in read_operators(file) if operator.weight_shape]
    assert shapes == [(8, 3, 3, 1), (1, 3, 3, 8), (16, 1, 1, 8), (10, 16)]
    assert notes[0].startswith("narrow: 24 of 48 groups of channels removed")
    assert accuracy(file) >= accuracy(float_file) - 0.2
    for step in (Reconstruct(io="float32"), Reconstruct(bits=4, io="float32"), Ptq(io="float32")):
        assert accuracy(Slim().apply(step.apply(file, context), context)) >= accuracy(file) - 0.08


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_share_of_the_macs_goes_where_the_outputs_change_least(
    float_file: bytes, context: Context, accuracy: Callable[[Any], float], share: float
) -> None:
    before = file_macs(read_model(float_file))
    file = Narrow(share, "sensitivity", multiple=2).apply(float_file, context)
    left = file_macs(read_model(file)) / before
    assert 0.75 * (1 - share) < left <= 1 - share, "as few channels go as it takes"
    same_macs = Narrow(1 - (1 - share) ** 0.5, multiple=2).apply(float_file, context)
    assert accuracy(file) >= accuracy(same_macs) - 0.02
    assert Narrow(share, "sensitivity", multiple=2).apply(float_file, context) == file


def test_it_says_why_nothing_can_be_removed(float_file: bytes, context: Context) -> None:
    with pytest.raises(Refused, match="no multiple of 64 below"):
        Narrow(multiple=64).apply(float_file, context)
    empty = dataclasses.replace(context, x_train=np.zeros((0, 8, 8, 1)), calibration=np.zeros((0, 8, 8, 1)))
    with pytest.raises(Refused, match="no samples"):
        Narrow().apply(float_file, empty)
