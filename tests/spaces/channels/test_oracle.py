"""Every cut network computes what the whole one does without the channels that went; and the oracle that says so finds faults."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.channels.layer_rules import KERNELS
from litetuner.spaces.channels.surgery import cut
from litetuner.spaces.tf import load
from tests.spaces.channels.channel_nets import (
    CONTEXT,
    NETS,
    TOLERANCE,
    Cut,
    check_oracle,
    distance,
    inputs,
    masked,
    randomise,
)


@pytest.mark.parametrize(("ratio", "importance"), [(0.25, "l1"), (0.5, "l2"), (0.5, "norm")])
@pytest.mark.parametrize("name", NETS)
def test_oracle(nets: dict[str, Any], name: str, ratio: float, importance: str) -> None:
    model = nets[name]
    before = model.get_weights()
    narrow = check_oracle(model, Cut(ratio=ratio, importance=importance, multiple=4))
    assert narrow.count_params() < model.count_params()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("name", NETS)
def test_the_oracle_finds_one_wrong_channel(nets: dict[str, Any], name: str) -> None:
    """In every group, one channel that should go stays and one that should stay goes."""
    model = nets[name]
    x = inputs(model)
    graph, kept = Cut(ratio=0.5, multiple=4).plan(model, CONTEXT)
    expected = masked(model, graph, kept, x)
    for group in graph.groups:
        going, staying = (
            group.channels[~kept[group.channels]],
            group.channels[kept[group.channels]],
        )
        if not len(going):
            continue
        wrong = kept.copy()
        wrong[[going[0], staying[0]]] = [True, False]
        assert distance(expected, cut(model, graph, wrong)(x).numpy()) > TOLERANCE, group.layers


@pytest.mark.parametrize("name", NETS)
def test_the_oracle_finds_one_wrong_slice(nets: dict[str, Any], name: str) -> None:
    """In each layer with a kernel, the weights of one channel that goes are kept instead of one that stays."""
    model = nets[name]
    x = inputs(model)
    graph, kept = Cut(ratio=0.5, multiple=4).plan(model, CONTEXT)
    expected = masked(model, graph, kept, x)
    for number, call in enumerate(graph.calls):
        stays = kept[graph.roots[call.source]]
        made_by = getattr(KERNELS.get(type(call.layer).__name__), "made_by", None)
        if made_by is None or stays.all():
            continue
        source = call.source.copy()
        one, other = np.flatnonzero(stays)[0], np.flatnonzero(~stays)[0]
        source[[one, other]] = source[[other, one]]
        if len(graph.remaining(source, kept)) != stays.sum() or [c.layer for c in graph.calls].count(call.layer) > 1:
            continue
        calls = (
            *graph.calls[:number],
            dataclasses.replace(call, source=source),
            *graph.calls[number + 1 :],
        )
        wrong = cut(model, dataclasses.replace(graph, calls=calls), kept)
        assert distance(expected, wrong(x).numpy()) > TOLERANCE, call.layer.name


ZOO = ("MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50", "DenseNet121")


@pytest.mark.zoo
@pytest.mark.parametrize("name", ZOO)
def test_zoo(name: str) -> None:
    """The published architectures, random weights and statistics, 64x64 pixels; a wrong channel is found in them too."""
    load()
    import keras

    from litetuner.spaces.models.keras_bridge.bridge import bridge

    keras.utils.set_random_seed(2)
    original = getattr(keras.applications, name)(
        input_shape=(64, 64, 3), weights=None, classes=10, classifier_activation=None
    )
    x = np.random.default_rng(1).uniform(0, 255, (8, 64, 64, 3)).astype(np.float32)
    model, _ = bridge(original, x[:1])
    randomise(model)
    for ratio in (0.25, 0.5):
        step = Cut(ratio=ratio)
        graph, kept = step.plan(model, CONTEXT)  # by kernels, so what becomes of the statistics does not change it
        expected = masked(model, graph, kept, x, enliven=True)
        check_oracle(model, step, x)
    groups = [group for group in graph.groups if not kept[group.channels].all()]
    for group in (groups[0], max(groups, key=lambda group: len(group.channels)), groups[-1]):
        wrong = kept.copy()
        going, staying = (group.channels[kept[group.channels] == side][0] for side in (False, True))
        wrong[[going, staying]] = [True, False]
        assert distance(expected, cut(model, graph, wrong)(x).numpy()) > TOLERANCE, group.layers
