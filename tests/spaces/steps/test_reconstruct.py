"""The step reconstruct: what it says, what its files hold, and a search with it on a float .tflite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import litetuner
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import State
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.steps.reconstruct import Reconstruct
from litetuner.spaces.steps.slim import Slim
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.weights import Weight, weights_of_operators


def weights(file: bytes) -> list[Weight]:
    """The weights of all operators, in order."""
    indices = [operator.index for operator in read_operators(file) if operator.weight_index is not None]
    return list(weights_of_operators(file, indices).values())


@pytest.mark.parametrize(
    ("step", "label"),
    [
        (Reconstruct(), "reconstructed int8"),
        (Reconstruct(bits=4, sparsity=0.5), "reconstructed int4 (prune 50%)"),
        (Reconstruct(sparsity=0.5, clusters=16), "reconstructed int8 (prune 50%, cluster 16)"),
        (Reconstruct(bits=3), "reconstructed int8 (3-bit values)"),
    ],
)
def test_the_label_says_what_the_file_holds(step: Reconstruct, label: str) -> None:
    assert Candidate((Float32(), step, Slim())).label == label


@pytest.mark.parametrize(
    "knobs",
    [{"sparsity": 0.99}, {"clusters": 2}, {"bits": 5}, {"clusters": 8, "bits": 4}, {"keep": -1}, {"io": "int9"}],
)
def test_other_knobs_are_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="reconstruct"):
        Reconstruct(**knobs)


def test_what_it_does_not_go_with() -> None:
    (rule,) = Reconstruct.rules
    assert not list(rule.broken((Float32(), Reconstruct(), Slim()), None))  # type: ignore[arg-type]
    assert len(list(rule.broken((Cluster(), Float32(), Reconstruct(), Ptq()), None))) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "step",
    [
        Reconstruct(bits=4, io="float32"),
        Reconstruct(sparsity=0.5, clusters=16),
        Reconstruct(bits=2, keep=2, io="uint8"),
    ],
)
def test_files_are_accurate_and_hold_what_is_said(
    step: Reconstruct, float_file: bytes, context: Context, accuracy: Callable[[Any], float]
) -> None:
    file, notes = step.apply_with_notes(float_file, context)
    assert accuracy(file) >= accuracy(float_file) - 0.08
    found = weights(Slim().apply(file, context))
    depthwise = [weight for weight in found if weight.operator == "DEPTHWISE_CONV_2D"]
    values = [np.unique(weight.values).size for weight in found]
    assert {weight.dtype for weight in depthwise} == {"int8"}
    assert {weight.dtype for weight in found if weight not in depthwise} == {"int4" if step.bits == 4 else "int8"}
    if step.clusters:
        assert max(values) <= 16
        zeros = sum(int(np.sum(weight.values == 0)) for weight in found)
        assert zeros >= 0.5 * sum(weight.values.size for weight in found)
        assert "weights in 4 layers are zero" in notes[0]
    if step.keep:
        assert sum(count > 3 for count in values) == step.keep
        assert notes[-1].startswith("reconstruct: plain int8 in ")


def test_no_samples_are_refused(float_file: bytes, context: Context) -> None:
    empty = dataclasses.replace(context, x_train=context.x_train[:0], calibration=context.calibration[:0])
    with pytest.raises(Refused, match="no samples"):
        Reconstruct().apply(float_file, empty)


def test_a_search_builds_verifies_and_scores_them(float_file: bytes, context: Context, tmp_path: Path) -> None:
    """A .tflite, which tf_keras cannot train: all its candidates are reconstructed ones."""
    model, data = tmp_path / "digits.tflite", tmp_path / "digits.npz"
    model.write_bytes(float_file)
    np.savez(data, x_train=context.x_train, y_train=context.y_train)
    folder = tmp_path / "run"
    litetuner.tune(model, data, max_drop="20%", steps="reconstruct", trials=4, target="fake", out=folder)
    trials = RunFolder(folder).trials()
    found = [trial for trial in trials if any(isinstance(step, Reconstruct) for step in trial.candidate.steps)]
    assert len(found) >= 2
    for trial in found:
        assert trial.state is State.COMPLETE, trial.reason
        assert trial.candidate.label.startswith("reconstructed int")
        assert {"metric", "compressed_bytes", "latency_us:fake"} <= set(trial.measurements)
        assert any("all read back" in note for note in trial.notes)
