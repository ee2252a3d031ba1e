"""Which channels belong together, which stay, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.channels.groups import trace
from litetuner.spaces.channels.selection import remaining_width
from litetuner.spaces.channels.surgery import cut
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.steps.channels import Channels
from tests.spaces.channels.channel_nets import (
    CONTEXT,
    Cut,
    build,
    check_oracle,
    distance,
    inputs,
)


def test_widths_are_snapped() -> None:
    """(width, ratio) -> what stays, in multiples of 8."""
    cases = {
        (32, 0.5): 16,
        (24, 0.5): 8,
        (24, 0.25): 16,
        (20, 0.25): 8,
        (16, 0.25): 8,
        (12, 0.25): 8,
        (8, 0.5): 8,
    }
    cases |= {
        (6, 0.5): 6,
        (64, 0.375): 40,
        (64, 0.625): 24,
        (1280, 0.25): 960,
        (10, 0.9): 8,
    }
    assert {case: remaining_width(*case, 8) for case in cases} == cases
    assert [remaining_width(10, ratio, 1) for ratio in (0.25, 0.5, 0.95)] == [7, 5, 1]


def test_groups_of_a_residual_network(nets: dict[str, Any]) -> None:
    graph = trace(nets["residual"])
    assert [(group.layers, len(group.channels), group.pinned) for group in graph.groups] == [
        (("image",), 3, "image is an input"),
        (("stem", "second"), 16, None),
        (("first",), 24, None),
        (("shortcut", "third"), 32, None),
        (("head",), 5, "head is an output"),
    ]


def test_channels_meet_in_segments(nets: dict[str, Any]) -> None:
    """What is added to a concatenation is cut in three parts, each with the layer that it meets."""
    found = [group.layers for group in trace(nets["dense_block"]).groups if "all" in group.layers]
    assert found == [("stem", "all"), ("grow0", "all"), ("grow1", "all")]


@pytest.mark.parametrize(("importance", "kept"), [("l1", [1, 3]), ("l2", [2, 3]), ("norm", [0, 2])])
def test_the_most_important_channels_stay(importance: str, kept: list[int]) -> None:
    """L1 norms 4, 6, 5, 8; L2 norms 2, 3, 5, 4; batch-norm scales 3, 1, 2, 0."""

    def body(layers: Any, x: Any) -> Any:
        x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, (2, 2), use_bias=False, name="conv")(x))
        return layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x))

    model = build((4, 4, 1), body)
    kernel = np.array([[1, 1, 1, 1], [2, 2, -2, 0], [0, 0, 0, -5], [2, -2, 2, 2]], np.float32)
    model.get_layer("conv").set_weights([kernel.T.reshape(2, 2, 1, 4)])
    norm = model.get_layer("norm")
    norm.set_weights([np.array([-3, 1, 2, 0], np.float32), *norm.get_weights()[1:]])
    narrow = Cut(importance=importance, multiple=1).apply(model, CONTEXT)
    assert np.array_equal(
        narrow.get_layer("conv").get_weights()[0],
        model.get_layer("conv").get_weights()[0][..., kept],
    )
    assert np.array_equal(narrow.get_layer("norm").get_weights()[1], norm.get_weights()[1][kept])
    assert np.array_equal(
        narrow.get_layer("head").get_weights()[0],
        model.get_layer("head").get_weights()[0][kept],
    )


def sequence(layers: Any, x: Any) -> Any:
    """Attention and a recurrent layer between convolutions: what they touch stays, the others are cut."""
    x = layers.Conv1D(16, 3, padding="same", name="free")(x)
    x = layers.Conv1D(16, 3, padding="same", name="touched")(x)
    x = layers.MultiHeadAttention(2, 8, name="attention")(x, x)
    x = layers.DepthwiseConv1D(3, name="deep")(layers.Conv1D(32, 1, activation="softmax", name="mixed")(x))
    x = layers.LSTM(16, name="lstm")(
        layers.LayerNormalization(name="layer_norm")(layers.Conv1D(16, 1, name="before")(x))
    )
    x = layers.Reshape((16, 2), name="split")(layers.Dense(32, name="wide")(x))
    x = layers.Permute((2, 1), name="turn")(layers.Conv1D(16, 1, name="turned")(x))
    return layers.Softmax()(layers.Dense(5, name="head")(layers.Dense(16, name="hidden")(layers.Flatten()(x))))


def test_what_is_not_understood_is_pinned_and_named() -> None:
    model = build((12, 6), sequence)
    step = Cut(ratio=0.5)
    reasons = {name: group.pinned for group in trace(model).groups for name in group.layers}
    assert {name for name, reason in reasons.items() if reason is None} == {
        "free",
        "hidden",
        "attention (heads)",
    }
    assert reasons["touched"] == "attention: attention mixes channels"
    assert reasons["mixed"] == "mixed: its activation softmax may mix channels"
    assert reasons["before"] == "layer_norm: a LayerNormalization mixes channels"
    assert reasons["wide"] == "split: it spreads the channels over several axes"
    assert reasons["turned"] == "turn: it moves the channels to another axis"
    check = check_oracle(model, step)
    assert {name: check.get_layer(name).output_shape[-1] for name in ("free", "touched", "hidden", "mixed")} == {
        "free": 8,
        "touched": 16,
        "hidden": 8,
        "mixed": 32,
    }
    notes = step.notes(model)
    assert "channels: before keep 16 channels: layer_norm: a LayerNormalization mixes channels" in notes
    assert not any("image" in note or "head" in note for note in notes)


def test_convolutions_in_groups_stay() -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(16, 3, groups=2, name="grouped")(layers.Conv2D(16, 1, name="before")(x))
        return layers.Dense(5)(layers.Flatten()(layers.Conv2D(16, 1, name="after")(x)))

    model = build((6, 6, 3), body)
    narrow = check_oracle(model, Cut())
    assert [narrow.get_layer(name).filters for name in ("before", "grouped", "after")] == [16, 16, 8]


def test_skipped_layers_keep_their_channels(nets: dict[str, Any]) -> None:
    step = Cut(skip=("second",))
    narrow = check_oracle(nets["residual"], step)
    widths = [narrow.get_layer(name).filters for name in ("stem", "first", "second", "third")]
    assert widths == [16, 8, 16, 16]
    assert step.details()[-1] == "channels: second keeps its width"
    assert step.notes(nets["residual"]) == ["channels: stem, second keep 16 channels: second is skipped"]


def test_labels() -> None:
    assert [Channels(ratio=ratio).label() for ratio in (0.25, 0.375, 0.5)] == [
        "channels -25%",
        "channels -37.5%",
        "channels -50%",
    ]
    assert "groups lose different shares" in Channels(spread="sensitivity").details()[1]
    assert Cut().details() == [
        "channels: ranked by l1, widths in multiples of 8",
        "channels: what reads fewer of them is not refitted",
    ]


def test_a_free_size_of_the_image_stays_free() -> None:
    def body(layers: Any, x: Any) -> Any:
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, name="conv")(x)))

    narrow = Cut().apply(build((None, None, 3), body), CONTEXT)
    assert narrow.output_shape == (None, 3)
    assert narrow.get_layer("conv").output_shape == (None, None, None, 8)


def test_the_result_is_a_model_like_any_other(nets: dict[str, Any]) -> None:
    """It goes through a checkpoint bit by bit, and through the converter (tolerance 1e-4 of the largest output)."""
    from litetuner.spaces.models.checkpoint import read_model, write_model
    from litetuner.spaces.steps.float32 import Float32
    from litetuner.spaces.tflite.running import run

    narrow = Cut().apply(nets["squeeze_excite"], CONTEXT)
    x = inputs(narrow)
    expected = narrow(x).numpy()
    assert np.array_equal(read_model(write_model(narrow))(x).numpy(), expected)
    file = Float32().apply(narrow, CONTEXT)
    assert distance(expected, np.reshape(run(file, x).values, expected.shape)) < 1e-4


def test_refusals(nets: dict[str, Any]) -> None:
    def small(layers: Any, x: Any) -> Any:
        return layers.Dense(3, name="head")(layers.Dense(8, name="hidden")(x))

    with pytest.raises(
        Refused,
        match="no other width has a multiple of 8 below it; image is an input; head is an output",
    ):
        Cut().apply(build((4,), small), CONTEXT)
    with pytest.raises(Refused, match="no channel can be pruned: image is an input; hidden is skipped"):
        Cut(skip=("hidden",), multiple=1).apply(build((4,), small), CONTEXT)
    with pytest.raises(Refused, match="did you mean 'stem'"):
        Cut(skip=("stm",)).apply(nets["residual"], CONTEXT)
    with pytest.raises(Refused, match="between 0 and 1"):
        Cut(ratio=1.0)
    with pytest.raises(Refused, match="did you mean 'norm'"):
        Cut(importance="nrm")
    with pytest.raises(Refused, match="did you mean 'least_squares'"):
        Cut(recover="least_square")
    with pytest.raises(Refused, match="there are no samples"):
        Channels(importance="l1").apply(nets["residual"], CONTEXT)
    with pytest.raises(Refused, match="1 or more"):
        Cut(multiple=0)
    with pytest.raises(Refused, match="did you mean 'sensitivity'"):
        Cut(spread="sensitiv")
    with pytest.raises(Refused, match="and there is no training data"):
        Cut(importance="taylor").apply(nets["residual"], CONTEXT)


def test_a_width_that_is_not_the_planned_one_fails(nets: dict[str, Any]) -> None:
    model = nets["residual"]
    graph, kept = Cut().plan(model, CONTEXT)
    head = next(number for number, call in enumerate(graph.calls) if call.layer.name == "head")
    broken = dataclasses.replace(graph.calls[head], source=np.zeros(32, np.int64))
    calls = (*graph.calls[:head], broken, *graph.calls[head + 1 :])
    with pytest.raises(BuildFailed, match="the weights of head should have shapes"):
        cut(model, dataclasses.replace(graph, calls=calls), kept)
