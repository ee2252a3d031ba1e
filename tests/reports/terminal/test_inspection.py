"""What `litetuner inspect` shows: counts, groups, reasons first, within 100 columns."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from litetuner.reports.terminal.inspection import inspection, short
from litetuner.spaces.building.trainable import rebuild
from litetuner.spaces.models.inspection import model_info
from litetuner.spaces.models.loading.load import LoadedModel
from litetuner.spaces.tf import load


def shown(facts):
    console = Console(file=io.StringIO(), width=100)
    console.print(inspection(facts, None))
    return console.file.getvalue()


def facts_of(model, x):
    copy, refusal, difference = rebuild(model, x)
    return model_info(LoadedModel(model, "keras3", "0" * 64, "net"), copy, refusal, difference)


def test_a_layer_has_its_cost_and_its_group():
    load()
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(16, 3, padding="same", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2D(8, 1, strides=2, name="pointwise"),
            layers.Flatten(),
            layers.Dense(4, name="head"),
        ]
    )
    facts = facts_of(model, np.zeros((2, 8, 8, 3), "f4"))
    found = {layer.name: layer for layer in facts.layers}
    macs = {"first": 64 * 27 * 16, "norm": 0, "depthwise": 36 * 9 * 16, "pointwise": 9 * 16 * 8, "head": 72 * 4}
    assert {name: found[name].macs for name in macs} == macs
    assert [found[name].group for name in ("first", "norm", "depthwise", "pointwise")] == ["1 (16)"] * 3 + ["2 (8)"]
    assert found["head"].group is None and "output" in found["head"].group_refusal
    text = shown(facts)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "no prune for depthwise: tfmot leaves the weights of a DepthwiseConv2D as they are" in text
    assert text.index("no prune") < text.index("27.6k")
    line = " ".join(text.split())
    assert line.endswith("Zeros make it smaller, not faster: the first layer is no 3x3 convolution of stride 2.")
    assert line.endswith(facts.to_json()["zeros_in_latency"])


def test_zeros_pay_behind_a_stem_in_pointwise_convolutions():
    load()
    import keras

    layers = keras.layers
    stem = layers.Conv2D(8, 3, strides=2, name="stem")
    tail = [layers.Conv2D(8, 1), layers.GlobalAveragePooling2D(), layers.Dense(4)]
    facts = facts_of(keras.Sequential([keras.Input((8, 8, 3)), stem, *tail]), np.zeros((2, 8, 8, 3), "f4"))
    said = "Zeros can make float files faster on ARM, from 67% of them in the 1x1 convolutions on."
    assert facts.zeros_in_latency == said and said in " ".join(shown(facts).split())


def test_what_cannot_be_trained_is_said_first():
    load()
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.RMSNormalization(name="rms"), keras.layers.Dense(2)])
    text = shown(facts_of(model, np.ones((2, 4), "f4")))
    assert "Post-training techniques only: layer 'rms' (RMSNormalization)" in text
    assert "no prune" not in text


def test_counts_have_three_digits():
    assert [short(n) for n in (0, 999, 1000, 12_345, 999_600, 7_890_000_000)] == [
        "0",
        "999",
        "1k",
        "12.3k",
        "1M",
        "7.89G",
    ]
