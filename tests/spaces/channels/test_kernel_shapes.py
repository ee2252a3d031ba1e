"""Channels that were cut are proved by the kernels' shapes in the finished file; a wrong shape fails the candidate."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.building.finish import finish
from litetuner.spaces.building.jobs import FinishJob
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.channels.kernel_shapes import compare, in_keras_order, kernels_of, shape_invariants
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import DataInfo
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits
from litetuner.spaces.jobs.workspace import Inspected, LossSettings, Sources, Workspace
from litetuner.spaces.models.checkpoint import write_model
from litetuner.spaces.models.inspection import model_info
from litetuner.spaces.models.loading.load import LoadedModel
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.slim import Slim
from litetuner.spaces.tflite.conversion import convert
from litetuner.spaces.tflite.invariants import Invariant, verify_invariants
from litetuner.spaces.tflite.weights import Weight, weights_by_layer
from tests.spaces.channels.channel_nets import CONTEXT, Cut, build


def image_net(layers: Any, x: Any) -> Any:
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, name="conv")(x)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)))
    x = layers.Conv2DTranspose(24, 2, strides=2, activation="relu", name="transposed")(x)
    x = layers.SeparableConv2D(32, 3, name="separable")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(layers.GlobalAveragePooling2D()(x))
    return layers.Dense(5, name="head")(x)


def series_net(layers: Any, x: Any) -> Any:
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(16, 3, name="conv")(x)))
    x = layers.DepthwiseConv1D(3, name="depthwise")(x)
    x = layers.Conv1DTranspose(24, 2, strides=2, activation="relu", name="transposed")(x)
    return layers.Dense(5, name="head")(layers.Flatten()(x))


NETS = {"image": (image_net, (8, 8, 3)), "series": (series_net, (16, 4))}
EXPECTED = {
    "image": {
        "conv": "3x3x3x8",
        "depthwise": "3x3x8x1",
        "transposed": "2x2x8x8",
        "separable": "1x1x8x16",
        "hidden": "16x8",
        "head": "8x5",
    },
    "series": {"conv": "3x4x8", "depthwise": "3x8x1", "transposed": "2x8x8", "head": "192x5"},
}


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[Any, Any]]:
    """The original and the cut model of each network."""
    originals = {name: build(shape, body) for name, (body, shape) in NETS.items()}
    return {name: (model, Cut(ratio=0.5).apply(model, CONTEXT)) for name, model in originals.items()}


def converted(model: Any, mode: str) -> bytes:
    samples = np.random.default_rng(0).normal(size=(8, *model.inputs[0].shape[1:])).astype(np.float32)

    def settle(converter: Any, tf: Any) -> None:
        if mode != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([sample[None]] for sample in samples)

    return convert(model, settle)


def found_in(file: bytes, kernels: Any) -> dict[str, Weight]:
    return weights_by_layer(file, list(kernels), {name: kernel.shape for name, kernel in kernels.items()})


@pytest.mark.parametrize("mode", ["float32", "int8"])
@pytest.mark.parametrize("name", NETS)
def test_the_shapes_of_the_cut_are_found(pairs: Any, name: str, mode: str) -> None:
    _, cut = pairs[name]
    kernels = kernels_of(cut)
    invariants = [Invariant(*each) for each in shape_invariants(kernels)]
    assert {promise.layer: promise.requested for promise in invariants} == EXPECTED[name]
    findings = verify_invariants(invariants, found_in(converted(cut, mode), kernels))
    assert [(item.verified, item.ok) for item in findings] == [(shape, True) for shape in EXPECTED[name].values()]


@pytest.mark.parametrize("name", NETS)
def test_the_original_has_other_shapes(pairs: Any, name: str) -> None:
    """Every layer that was cut says so, each for itself."""
    original, cut = pairs[name]
    kernels = kernels_of(cut)
    invariants = [Invariant(*each) for each in shape_invariants(kernels)]
    findings = verify_invariants(invariants, found_in(converted(original, "float32"), kernels))
    assert not any(item.ok for item in findings)


@pytest.mark.parametrize(
    ("operator", "stored", "asked", "found"),
    [
        ("CONV_2D", (8, 3, 3, 16), "3x3x16x8", "3x3x16x8"),
        ("CONV_2D", (16, 3, 3, 8), "3x3x16x8", "3x3x8x16"),  # inputs and outputs the wrong way round
        ("CONV_2D", (8, 1, 5, 4), "5x4x8", "5x4x8"),  # of a Conv1D
        ("CONV_2D", (8, 1, 1, 4), "4x8", "4x8"),  # of a Dense
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 16), "3x3x8x2", "3x3x8x2"),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 12), "3x3x8x2", "3x3x6x2"),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 16), "3x3x1x16", "3x3x1x16"),  # a Conv2D of one input
        ("DEPTHWISE_CONV_2D", (1, 1, 3, 8), "3x8x1", "3x8x1"),
        ("TRANSPOSE_CONV", (8, 3, 3, 16), "3x3x8x16", "3x3x8x16"),
        ("TRANSPOSE_CONV", (16, 3, 3, 8), "3x3x8x16", "3x3x16x8"),
        ("FULLY_CONNECTED", (10, 64), "64x10", "64x10"),
        ("FULLY_CONNECTED", (64, 10), "64x10", "10x64"),
        ("FULLY_CONNECTED", (10, 192), "8x8x3x10", "8x8x3x10"),
        ("CONV_3D", (3, 3, 3, 2, 4), "3x3x3x2x4", "3x3x3x2x4"),
        ("BATCH_MATMUL", (4, 8), "8x4", "4x8"),  # its axes are not known: sizes count
    ],
)
def test_axes_are_told_in_keras_order(operator: str, stored: tuple[int, ...], asked: str, found: str) -> None:
    assert compare(stored, operator, asked) == (found, found == asked or operator == "BATCH_MATMUL")


def test_unknown_operators_have_no_order() -> None:
    assert in_keras_order((3, 4), "CUMSUM", (4, 3)) is None


def test_a_layer_that_is_called_twice_is_not_promised() -> None:
    def body(layers: Any, x: Any) -> Any:
        shared = layers.Dense(8, name="shared")
        return layers.Dense(2, name="head")(layers.Add()([shared(x), shared(layers.ReLU()(x))]))

    assert shape_invariants(kernels_of(build((4,), body))) == [("head", "shape", "8x2")]


def test_a_builder_proves_the_cut_and_fails_another_file(pairs: Any, stores: Any, tmp_path: Path) -> None:
    original, cut = pairs["image"]
    workspace = Workspace(tmp_path, *stores, Sources())
    keep, x = workspace.keep_array, np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
    arrays = {
        f"{name}_{split}": keep(values)
        for split in ("train", "search")
        for name, values in (("x", x), ("y", np.zeros(16, np.int64)))
    }
    counts = {"train": 16, "search": 16, "test": 0}
    data = DataInfo("0", arrays, counts, (8, 8, 3), "float32", 5, None)
    model = model_info(LoadedModel(original, "tf_keras", "0", "net"), original, None, 0.0)
    found = Inspected(model, data, None, LossSettings("mse"))
    right, wrong = (workspace.blobs.put(converted(each, "float32"), ".tflite") for each in (cut, original))
    job = FinishJob(
        environment=Environment({}, "", ""),
        limits=Limits(60.0, 1 << 32),
        inspected=workspace.blobs.put(json.dumps(found.to_json()).encode(), ".json"),
        seed=0,
        batch_size=4,
        calibration=8,
        candidate=Candidate((Cut(ratio=0.5), Float32(), Slim())),
        file=right,
        untrained=False,
        cut=workspace.blobs.put(write_model(cut), ".npz"),
    )
    shapes = [item for item in finish(job, workspace).invariants if item.property == "shape"]
    assert {item.layer: item.verified for item in shapes} == EXPECTED["image"] and all(item.ok for item in shapes)
    with pytest.raises(BuildFailed, match="breaks its label: conv: shape requested 3x3x3x8, found 3x3x3x16"):
        finish(dataclasses.replace(job, file=wrong), workspace)


@pytest.fixture
def stores(tmp_path: Path) -> Any:
    from litetuner.spaces.store import Store

    folders = [tmp_path / name for name in ("blobs", "artifacts")]
    for folder in folders:
        folder.mkdir()
    return [Store(folder) for folder in folders]
