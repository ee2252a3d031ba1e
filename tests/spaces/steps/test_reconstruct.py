"""The step reconstruct: what it says, what its files hold, and a search with it on a float .tflite."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import litetuner
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import State
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.jobs.record import RecordError
from litetuner.spaces.reconstruction.allocation.statistics import SPARSITIES, VALUES, LayerStatistics, Statistics
from litetuner.spaces.reconstruction.quantized import check_treatments
from litetuner.spaces.reconstruction.sequence import Treatment
from litetuner.spaces.space import ScriptedChoices
from litetuner.spaces.step import step_from_json
from litetuner.spaces.steps import STEPS
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.steps.reconstruct import Reconstruct
from litetuner.spaces.steps.slim import Slim
from litetuner.spaces.tflite.operators import names_of_layers, read_operators
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
        (Reconstruct(layers=(("a", 0.5, 16, 8), ("b", 0.0, 0, 8))), "reconstructed int8 (by layer)"),
        (Reconstruct(layers=(("a", 0.0, 0, 4),)), "reconstructed int8/int4 (by layer)"),
        (Reconstruct(clusters=16, arithmetic="float32"), "reconstructed weight-only int8 (cluster 16)"),
    ],
)
def test_the_label_says_what_the_file_holds(step: Reconstruct, label: str) -> None:
    assert Candidate((Float32(), step, Slim())).label == label


@pytest.mark.parametrize(
    "knobs",
    [{"sparsity": 0.99}, {"clusters": 2}, {"bits": 5}, {"clusters": 8, "bits": 4}, {"keep": -1}, {"io": "int9"}]
    + [{"arithmetic": "float16"}, {"arithmetic": "float32", "io": "uint8"}]
    + [{"layers": layers} for layers in ((("a", 0.99, 0, 8),), (("a", 0, 0, 5),), (("a", 0, 8, 8),) * 2)],
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
        Reconstruct(sparsity=0.5, clusters=16, arithmetic="float32"),
        Reconstruct(bits=4, arithmetic="float32"),
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


def test_float_arithmetic_has_the_same_integers(float_file: bytes, context: Context) -> None:
    """What differs is what the operators compute with."""
    files = [
        Slim().apply(Reconstruct(clusters=8, arithmetic=kind).apply(float_file, context), context)
        for kind in ("int8", "float32")
    ]
    for integer, plain in zip(*map(weights, files), strict=True):
        np.testing.assert_array_equal(integer.values, plain.values)
        np.testing.assert_array_equal(integer.scale, plain.scale)
        assert (integer.activation_dtype, plain.activation_dtype) == ("int8", "float32")


def test_layers_differ_as_said_and_the_record_says_how(float_file: bytes, context: Context) -> None:
    names = names_of_layers(read_operators(float_file))
    chosen = [Treatment(0.3, 8), Treatment(0.5), Treatment(bits=4), Treatment(0.4, levels=7)]
    layers = tuple((name, *each.fields) for name, each in zip(names, chosen, strict=True))
    step = Reconstruct(layers=layers)
    assert step_from_json(json.loads(json.dumps(step.to_json())), STEPS) == step
    assert "layers" not in Reconstruct().to_json()  # older records keep their keys
    assert step.details()[0] == f"reconstruct: {next(iter(names))}: prune 30%, cluster 8"
    found = weights(Slim().apply(step.apply(float_file, context), context))
    assert [weight.dtype for weight in found] == ["int8", "int8", "int4", "int8"]
    for weight, treatment in zip(found, chosen, strict=True):
        assert np.mean(weight.values == 0) >= treatment.sparsity
        assert np.unique(weight.values).size <= treatment.most_values
    assert np.unique(found[1].values).size > 8


@pytest.mark.parametrize(
    "layer",
    [
        ["a"],
        ["a", 0.5],
        ["a", "x", 0, 8],
        ["a", 0.5, 0, 8, 9.5],
        ["a", 0.5, 0, 8, 9, 3],
        [1, 0.5, 0, 8],
        ["a", None, 0, 8],
    ],
)
def test_a_record_of_layers_that_none_could_write_is_refused(layer: list[object]) -> None:
    record = Reconstruct().to_json() | {"layers": [layer]}
    with pytest.raises(RecordError):
        step_from_json(record, STEPS)


def test_layers_that_cannot_be_treated_so_are_refused(float_file: bytes, context: Context) -> None:
    _, depthwise, pointwise, _ = names_of_layers(read_operators(float_file))
    with pytest.raises(Refused, match="takes no 4-bit weights"):
        Reconstruct(layers=((depthwise, 0.0, 0, 4),)).apply(float_file, context)
    with pytest.raises(Refused, match=f"no layer '{pointwise}s'.*did you mean.*{pointwise}"):
        Reconstruct(layers=((f"{pointwise}s", 0.5, 0, 8),)).apply(float_file, context)


def test_integers_that_are_not_what_was_asked_fail_with_the_layer(float_file: bytes) -> None:
    name, at = next(iter(names_of_layers(read_operators(float_file)).items()))
    integers = {at: np.array([[1, 0, 3, 4]], np.int8)}
    check_treatments(integers, {at: Treatment(0.25, 4)}, float_file)
    for broken in (Treatment(clusters=3), Treatment(sparsity=0.5)):
        with pytest.raises(BuildFailed, match=f"{name} was to have {broken.text}, and has 4 different weights, 25.0%"):
            check_treatments(integers, {at: broken}, float_file)


def test_choices_by_layer_lead_to_treatments_by_layer() -> None:
    grid = tuple((0.0,) * len(SPARSITIES) for _ in range(len(VALUES) + 1))
    layers = [LayerStatistics(name, "CONV_2D", (8, 3, 3, 4), name != "c", grid, grid, 0.1) for name in "abc"]
    around = SpaceConstraints(None, has_training_data=True)  # type: ignore[arg-type]
    script = ScriptedChoices(Reconstruct.script({"a": (8, 0.5), "b": (256, 0.0), "c": (9, 0.3)}))
    choices = Choices(script, around, (), ("float32",), statistics=Statistics(tuple(layers)))
    _, step = Reconstruct.deploy("reconstruct", choices)
    assert step.knobs()["layers"] == (("a", 0.5, 8, 8), ("b", 0.0, 0, 8), ("c", 0.3, 0, 8, 9))
    short = dataclasses.replace(choices, choose=ScriptedChoices(Reconstruct.script() | {"reconstruct.int4": "True"}))
    _, step = Reconstruct.deploy("reconstruct", short)
    assert [name for name, *_ in step.knobs()["layers"]] == ["a", "b", "c"]


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
    assert trials[1].origin == "allocation", [trial.origin for trial in trials]
    found = [trial for trial in trials if any(isinstance(step, Reconstruct) for step in trial.candidate.steps)]
    assert len(found) >= 2
    for trial in found:
        assert trial.state.scored, trial.reason
        assert (trial.state is State.COMPLETE) == (trial.measurements["drop"].value <= 0.2), trial.reason
        assert trial.candidate.label.startswith("reconstructed int")
        assert {"metric", "compressed_bytes", "latency_us:fake"} <= set(trial.measurements)
        assert any("all read back" in note for note in trial.notes)
