"""Which channels go: by the loss, by heads, by what a group costs; proved by the oracle of ``channel_nets``."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.channels.cost import ChannelCost
from litetuner.spaces.channels.importance import importances
from litetuner.spaces.channels.surgery import cut
from litetuner.spaces.context import Context
from tests.spaces.channels.channel_nets import (
    CONTEXT,
    NETS,
    TOLERANCE,
    Cut,
    build,
    check_oracle,
    distance,
    inputs,
    masked,
)


def transformer(layers: Any, x: Any) -> Any:
    x = layers.Dense(24, name="embed")(x)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(4, 6, name="attention")(x, x)]))
    y = layers.Dense(24, name="down")(layers.Dense(32, activation="relu", name="up")(x))
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling1D()(x))


def test_whole_heads_are_cut() -> None:
    model = build((7, 3), transformer)
    narrow = check_oracle(model, Cut(ratio=0.5))
    assert narrow.get_layer("attention").get_config()["num_heads"] == 2
    assert narrow.get_layer("up").units == 16
    assert narrow.get_layer("embed").units == 24  # what is normalised over channels keeps them
    skipped = Cut(ratio=0.5, skip=("attention",)).apply(model, CONTEXT)
    assert skipped.get_layer("attention").get_config()["num_heads"] == 4


def test_the_oracle_finds_one_wrong_head() -> None:
    model = build((7, 3), transformer)
    graph, kept = Cut(ratio=0.5).plan(model, CONTEXT)
    x = inputs(model)
    expected = masked(model, graph, kept, x)
    (heads,) = [group.channels for group in graph.groups if group.heads]
    wrong = kept.copy()
    wrong[[heads[~kept[heads]][0], heads[kept[heads]][0]]] = [True, False]
    assert distance(expected, cut(model, graph, wrong)(x).numpy()) > TOLERANCE


def data(model: Any, outputs: np.ndarray | None = None) -> Context:
    x = inputs(model, 64)
    y = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32) if outputs is None else outputs
    return dataclasses.replace(CONTEXT, x_train=x, y_train=y, loss="mse")


@pytest.mark.parametrize("name", NETS)
def test_oracle_by_loss_and_sensitivity(name: str) -> None:
    body, shape = NETS[name]
    model = build(shape, body)
    step = Cut(ratio=0.5, multiple=4, importance="taylor", spread="sensitivity")
    context = data(model)
    graph, kept = step.plan(model, context)
    x = inputs(model)
    before = model.get_weights()
    narrow = step.apply(model, context)
    assert distance(masked(model, graph, kept, x), narrow(x).numpy()) < TOLERANCE
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_what_the_loss_does_not_need_goes_first() -> None:
    """The largest kernels belong to channels that the head does not read: norms keep them, the loss does not."""

    def body(layers: Any, x: Any) -> Any:
        x = layers.Activation("relu")(layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, name="conv")(x)))
        return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(x))

    model = build((6, 6, 2), body)
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[..., :4] *= 10
    model.get_layer("conv").set_weights([kernel, bias])
    weights, offset = model.get_layer("head").get_weights()
    weights[:4] = 0
    model.get_layer("head").set_weights([weights, offset])
    for importance, stays in (("l1", range(4)), ("taylor", range(4, 8))):
        graph, kept = Cut(importance=importance, multiple=4).plan(model, data(model))
        (group,) = [group for group in graph.groups if group.layers == ("conv",)]
        assert np.flatnonzero(kept[group.channels]).tolist() == list(stays)


def test_taylor_is_the_change_of_the_loss() -> None:
    """For a channel that hardly matters, the first-order change agrees with the measured one to 5 %."""

    def body(layers: Any, x: Any) -> Any:
        return layers.Dense(5, name="head")(layers.Dense(8, name="hidden")(x))

    model = build((6,), body)
    weights, offset = model.get_layer("head").get_weights()
    weights[3] *= 1e-3
    model.get_layer("head").set_weights([weights, offset])
    context = dataclasses.replace(data(model), x_train=inputs(model, 8), y_train=np.zeros((8, 5), np.float32))
    graph, _ = Cut(multiple=1, ratio=0.1).plan(model, context)
    (group,) = [group for group in graph.groups if group.layers == ("hidden",)]
    score = importances(model, graph, "taylor", context)[group.channels[3]]

    def loss(outputs: np.ndarray) -> float:
        return float(np.sum(np.mean((outputs - context.y_train) ** 2, axis=-1)))

    without = np.ones(len(graph.roots), dtype=bool)
    without[group.channels[3]] = False
    whole, less = model(context.x_train).numpy(), cut(model, graph, without)(context.x_train).numpy()
    assert np.sqrt(score) == pytest.approx(abs(loss(less) - loss(whole)) / 8, rel=0.05)


@pytest.mark.parametrize("name", NETS)
def test_cost_counts_what_the_cut_model_costs(name: str) -> None:
    body, shape = NETS[name]
    model = build(shape, body)
    graph, kept = Cut(ratio=0.5, multiple=4).plan(model, CONTEXT)
    narrow = cut(model, graph, kept)
    everything = np.ones(len(graph.roots), dtype=bool)
    narrow_graph, _ = Cut(ratio=0.9, multiple=1).plan(narrow, CONTEXT)
    rest = np.ones(len(narrow_graph.roots), dtype=bool)
    assert ChannelCost.of_model(model, graph).total(kept) == ChannelCost.of_model(narrow, narrow_graph).total(rest)
    assert ChannelCost.of_model(model, graph).total(everything) > ChannelCost.of_model(model, graph).total(kept)


def test_cost_of_known_layers() -> None:
    """A 3x3 convolution of 2 to 4 channels on 5x5 places, and a dense layer of 4 to 3: 3*3*2*4*25 + 12 multiply-adds."""

    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(4, 3, padding="same")(x)
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))

    model = build((5, 5, 2), body)
    graph, _ = Cut(multiple=1).plan(model, CONTEXT)
    assert ChannelCost.of_model(model, graph).total(np.ones(len(graph.roots), dtype=bool)) == 3 * 3 * 2 * 4 * 25 + 12


def test_sensitivity_saves_as_much_and_loses_less() -> None:
    body, shape = NETS["residual"]
    model = build(shape, body)
    context = data(model)
    costs, lost = [], []
    for spread in ("even", "sensitivity"):
        step = Cut(ratio=0.5, multiple=4, importance="taylor", spread=spread)
        graph, kept = step.plan(model, context)
        costs.append(ChannelCost.of_model(model, graph).total(kept))
        scores = importances(model, graph, "taylor", context)
        lost.append(sum(scores[group.channels][~kept[group.channels]].sum() for group in graph.groups))
    assert costs[1] <= costs[0]
    assert lost[1] <= lost[0]


def two_blocks(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(x)
    for block in ("a", "b"):
        y = layers.Conv2D(16, 3, padding="same", activation="relu", name=f"{block}_inner")(x)
        x = layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 3, padding="same", name=f"{block}_outer")(y)]))
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(x))


def test_inner_widths_alone_are_cut() -> None:
    model = build((8, 8, 3), two_blocks)
    narrow = check_oracle(model, Cut(ratio=0.5, spread="inner"))
    widths = {name: narrow.get_layer(name).filters for name in ("stem", "a_inner", "a_outer", "b_inner", "b_outer")}
    assert widths == {"stem": 16, "a_inner": 8, "a_outer": 16, "b_inner": 8, "b_outer": 16}
    even = Cut(ratio=0.5).apply(model, CONTEXT)
    assert even.get_layer("stem").filters == even.get_layer("b_outer").filters == 8
    assert "(sums) keeps its width" in Cut(ratio=0.5, spread="inner").details()[1]


def test_without_sums_the_inner_cut_is_the_even_one() -> None:
    plain = lambda layers, x: layers.Dense(5)(layers.Flatten()(layers.Conv2D(16, 3)(layers.Conv2D(24, 3)(x))))  # noqa: E731
    model = build((8, 8, 3), plain)
    inner, even = (Cut(ratio=0.5, spread=spread).plan(model, CONTEXT)[1] for spread in ("inner", "even"))
    assert (inner == even).all() and not inner.all()
