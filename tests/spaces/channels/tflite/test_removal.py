"""Every narrower file computes what the whole one does without what was read of the channels that went."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.channels.selection import choose
from litetuner.spaces.channels.tflite.ranking import file_cost
from litetuner.spaces.channels.tflite.removal import remove
from litetuner.spaces.channels.tflite.tracing import FileChannels, trace_file
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import pack_model, read_model, type_name
from litetuner.spaces.tflite.tensor_values import dense_values, store_values
from tests.spaces.channels.channel_nets import NETS

READ = {"CONV_2D": 3, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 3}  # the weight's axis of the channels that are read
TOLERANCE = 1e-5  # of the largest output: float32, added in another order
# Groups that may be pruned, at least.
FREE = {"residual": 3, "squeeze_excite": 3, "dense_block": 4, "separable": 4, "flatten_dense": 3, "shared": 3}


@pytest.fixture(scope="module")
def files(nets: dict[str, Any]) -> dict[str, bytes]:
    return {name: Float32().apply(model, None) for name, model in nets.items()}  # type: ignore[arg-type]


def plan(file: bytes, seed: int = 0) -> tuple[FileChannels, np.ndarray]:
    """Half of each group goes, chosen by chance."""
    channels = trace_file(read_model(file))
    scores = np.random.default_rng(seed).random(len(channels.roots))
    return channels, choose(channels, scores, 0.5, 4, "even", lambda: file_cost(file, channels))


def without_reading(file: bytes, channels: FileChannels, kept: np.ndarray) -> bytes:
    """The file as wide as before, in which nobody reads what goes."""
    model = read_model(file)
    for operator in operators_of(model):
        axis = READ.get(operator.name)
        if axis is not None and (operator.index, 1, axis) in channels.constants:
            tensor = model.subgraphs[0].tensors[operator.weight_index]
            values = dense_values(tensor, type_name(tensor.type), model.buffers[tensor.buffer].data).copy()
            numbers = channels.constants[operator.index, 1, axis]
            np.moveaxis(values, axis, 0)[~kept[channels.roots[numbers]]] = 0
            store_values(model, tensor, values)
    return pack_model(model)


def distance(file: bytes, other: bytes, x: np.ndarray) -> float:
    return run(file, x).difference(run(other, x))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(4, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("name", NETS)
def test_a_narrower_file_computes_the_same(files: dict[str, bytes], name: str, x: np.ndarray) -> None:
    channels, kept = plan(files[name])
    narrow = remove(files[name], channels, kept)
    expected = without_reading(files[name], channels, kept)
    assert distance(expected, narrow, x) < TOLERANCE
    assert distance(expected, files[name], x) > 0.01  # what goes was something
    assert len(narrow) < len(files[name])
    assert sum(group.pinned is None for group in channels.groups) >= FREE[name]
    again = trace_file(read_model(narrow))
    assert len(again.groups) == len(channels.groups)


def test_what_is_not_known_keeps_its_channels(tmp_path: Any) -> None:
    """Attention multiplies two computed tensors; what goes in and comes out of it stays, and the reason is told."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = tf_keras.layers
    steps = layers.Input((6, 8))
    x = layers.Conv1D(16, 3, padding="same", name="before")(steps)
    x = layers.Attention()([x, x])
    x = layers.Dense(16, activation="relu", name="after")(x)
    file = Float32().apply(tf_keras.Model(steps, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))), None)  # type: ignore[arg-type]
    channels = trace_file(read_model(file))
    assert channels.opaque
    reasons = {group.layers[0].split("/")[-2]: group.pinned for group in channels.groups if "/" in group.layers[0]}
    assert "BATCH_MATMUL is not known" in reasons["before"]
    assert reasons["after"] is None
    _, kept = plan(file)
    narrow = remove(file, channels, kept)
    x = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    assert distance(without_reading(file, channels, kept), narrow, x) < TOLERANCE
