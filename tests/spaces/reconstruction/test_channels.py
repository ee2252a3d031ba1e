"""Refitted layers bring a model that lost channels back near the original, and nothing else is touched."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.reconstruction.least_squares import correction
from litetuner.spaces.reconstruction.normalization import LEAST_ROWS, fit_normalization
from litetuner.spaces.reconstruction.patches import patches, places
from litetuner.spaces.steps.channels import Channels
from litetuner.spaces.tf import load
from tests.spaces.channels.channel_nets import CONTEXT, NETS, Cut, build

SEED = 3
Fitted = functools.partial(Channels, importance="l1")


def smooth(model: Any, count: int, seed: int) -> np.ndarray:
    """Inputs of few degrees of freedom, as real ones are: channels of a layer then tell much of one another."""
    shape = model.inputs[0].shape[1:]
    basis = np.random.default_rng(1).normal(size=(6, *shape))
    return np.tensordot(np.random.default_rng(seed).normal(size=(count, 6)), basis, 1).astype(np.float32)


def context(model: Any, count: int = 512) -> Context:
    return dataclasses.replace(CONTEXT, x_train=smooth(model, count, 5), seed=SEED)


def lost(model: Any, narrow: Any) -> float:
    """Squared error of the outputs on samples that nothing was fitted on, as a share of their variance."""
    x = smooth(model, 256, 6)
    wanted = model(x).numpy()
    return float(np.mean((narrow(x).numpy() - wanted) ** 2) / wanted.var(axis=0).mean())


def same(left: Any, right: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("name", NETS)
def test_outputs_come_back(name: str) -> None:
    """At most a third of the error that the cut alone makes; the model that is cut stays bit-equal."""
    body, shape = NETS[name]
    model = build(shape, body)
    weights = model.get_weights()
    given = context(model)
    plain, fitted = (kind(ratio=0.5, multiple=4).apply(model, given) for kind in (Cut, Fitted))
    assert same(weights, model.get_weights())
    assert lost(model, fitted) < lost(model, plain) / 3
    again = Fitted(ratio=0.5, multiple=4).apply(model, given)
    assert same(fitted.get_weights(), again.get_weights())


def test_a_probe_is_not_refitted() -> None:
    body, shape = NETS["residual"]
    model = build(shape, body)
    given = dataclasses.replace(context(model, 32), untrained=True)
    assert same(Fitted().apply(model, given).get_weights(), Cut().apply(model, given).get_weights())
    assert same(
        Fitted().apply(model, dataclasses.replace(CONTEXT, untrained=True)).get_weights(),
        Cut().apply(model, CONTEXT).get_weights(),
    )


def test_calibration_samples_serve_without_training_data() -> None:
    body, shape = NETS["residual"]
    model = build(shape, body)
    given = dataclasses.replace(CONTEXT, calibration=smooth(model, 128, 5))
    assert lost(model, Fitted().apply(model, given)) < lost(model, Cut().apply(model, given)) / 2


def mixed(layers: Any, x: Any) -> Any:
    """Kernels behind cut channels that are not refitted: transposed, in groups, shared, an attention."""
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(x)
    x = layers.Conv2DTranspose(16, 3, padding="same", name="up")(x)
    x = layers.Conv2D(16, 3, groups=2, padding="same", name="grouped")(layers.Conv2D(16, 1, name="before")(x))
    same_twice = layers.Conv2D(16, 1, name="twice")
    x = layers.Add()([same_twice(x), same_twice(layers.ReLU()(x))])
    rows = layers.Reshape((64, 8))(layers.Conv2D(8, 1, name="rows")(x))
    rows = layers.MultiHeadAttention(2, 4, name="attention")(rows, rows)
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling1D()(rows))


def test_what_is_not_refitted_is_left_and_named() -> None:
    model = build((8, 8, 3), mixed)
    step = Fitted(ratio=0.5)
    plain, fitted = (kind(ratio=0.5).apply(model, context(model, 64)) for kind in (Cut, Fitted))
    left = ("stem", "up", "grouped", "twice", "attention")
    for name in left:
        assert same(plain.get_layer(name).get_weights(), fitted.get_layer(name).get_weights()), name
    assert not same(plain.get_layer("rows").get_weights(), fitted.get_layer("rows").get_weights())
    notes = step.notes(model)
    assert [note for note in notes if "is not refitted" in note] == [
        "channels: up is not refitted: a Conv2DTranspose is not refitted",
        "channels: grouped is not refitted: its 2 groups are not refitted",
        "channels: twice is not refitted: it is called more than once",
        "channels: attention is not refitted: a MultiHeadAttention is not refitted",
    ]
    assert not any("is not refitted" in note for note in Cut(ratio=0.5).notes(model))


def normalized(layers: Any, x: Any) -> Any:
    """Normalizations behind refitted convolutions, one without scale and shift, behind a sum, and behind what is not refitted."""
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(x)
    x = layers.ReLU()(
        layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False, name="second")(x))
    )
    x = layers.Conv2D(16, 1, name="third")(x)
    y = layers.ReLU()(layers.BatchNormalization(scale=False, center=False)(x))
    twice = layers.Conv2D(16, 1, name="twice")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Add()([twice(y), twice(x)])))
    return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(x))


def in_training(model: Any, x: np.ndarray) -> float:
    """How far the outputs with the statistics of ``x`` are from those with the stored ones, as a share of their variance."""
    wanted = model(x, training=False).numpy()
    statistics = [weight.numpy() for weight in model.non_trainable_weights]
    found = model(x, training=True).numpy()
    for weight, value in zip(model.non_trainable_weights, statistics, strict=True):
        weight.assign(value)
    return float(np.mean((found - wanted) ** 2) / wanted.var(axis=0).mean())


def with_true_statistics(body: Any, shape: tuple[int, ...]) -> Any:
    """A network whose batch normalizations hold the statistics of what they read, as after a training."""
    model = build(shape, body)
    layers = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    for layer in layers:
        layer.momentum = 0.0
    model(smooth(model, 512, 5), training=True)
    return model


@pytest.mark.parametrize("body", [normalized, NETS["dense_block"][0]])
def test_batch_normalizations_hold_the_statistics_of_what_they_read(body: Any) -> None:
    """A training begins at the function that was refitted: the stored statistics are those of the inputs, to 2 %."""
    model = with_true_statistics(body, (8, 8, 3))
    given = context(model)
    assert in_training(model, given.x_train) < 1e-6
    plain, fitted = (kind(ratio=0.5, multiple=4).apply(model, given) for kind in (Cut, Fitted))
    assert in_training(plain, given.x_train) > 0.05
    assert in_training(fitted, given.x_train) < 0.02
    assert lost(model, fitted) < lost(model, plain) / 3


def test_few_rows_change_no_statistics() -> None:
    load()
    import tf_keras

    layer = tf_keras.layers.BatchNormalization()
    x = np.random.default_rng(0).normal(3, 2, size=(LEAST_ROWS, 4)).astype(np.float32)
    layer(x)
    fit_normalization(layer, x[1:], None, np.zeros(LEAST_ROWS - 1, bool))
    assert not layer.moving_mean.numpy().any()
    before = layer(x).numpy()
    fit_normalization(layer, x, None, np.zeros(LEAST_ROWS, bool))
    assert np.allclose(layer.moving_mean.numpy(), x.mean(axis=0), atol=1e-5)
    assert np.allclose(layer(x).numpy(), before, atol=1e-5)


LAYERS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "Conv1D": ((11, 3), {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    "Conv2D": ((9, 7, 3), {"filters": 4, "kernel_size": (3, 2), "padding": "same", "strides": 2}),
    "DepthwiseConv1D": ((11, 3), {"kernel_size": 3, "padding": "same", "strides": 2, "depth_multiplier": 2}),
    "DepthwiseConv2D": ((9, 8, 3), {"kernel_size": 3, "padding": "same", "strides": 2, "depth_multiplier": 2}),
    "Dense": ((4, 3), {"units": 5}),
}


@pytest.mark.parametrize("padding", ["as it is", "valid"])
@pytest.mark.parametrize("kind", LAYERS)
def test_patches_are_what_the_layer_reads(kind: str, padding: str) -> None:
    """Patches times kernel are the layer's own output, to 1e-5."""
    load()
    import tf_keras

    from litetuner.spaces.reconstruction.channels import _linear

    shape, settings = LAYERS[kind]
    if padding == "valid" and "padding" in settings:
        settings = settings | {"padding": "valid"}
    layer = getattr(tf_keras.layers, kind)(**settings)
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    output = layer(x).numpy()
    at = places(output.shape, 50, np.random.default_rng(0))
    assert np.allclose(_linear(layer, patches(layer, x, at)), output[tuple(at)], atol=1e-5)


def test_a_correction_is_found_and_noise_is_not_fitted() -> None:
    """A linear map is found to 1e-3; where there is nothing to find, nothing is corrected, or next to nothing."""
    random = np.random.default_rng(0)
    read = random.normal(size=(2, 400, 10)) + 3
    wanted = random.normal(size=(2, 10, 4))
    left_out = np.arange(400) % 4 == 0
    found = correction(read, read @ wanted + 1, left_out, 1.0, biased=True)
    assert found is not None and found.after < 1e-3 * found.before
    assert np.allclose(found.kernel, wanted, atol=1e-3) and np.allclose(found.bias, 1, atol=1e-2)
    noise = correction(read[:, :16], random.normal(size=(2, 16, 4)), left_out[:16], 1.0, biased=False)
    assert noise is None or np.abs(noise.kernel).max() < 0.3
    assert correction(read[:, :1], wanted[:, :1], left_out[:1], 1.0, biased=True) is None  # no row is left to judge by


def test_older_records_mean_what_was_done() -> None:
    """A record without the knob was not refitted; it keeps its key, and newer ones say what they are."""
    record = {"step": "channels", "ratio": 0.5, "importance": "l1", "spread": "even", "multiple": 8, "skip": []}
    old = Candidate.from_json([record])
    assert old == Candidate((Cut(),)) and old.to_json() == [record]
    new = Candidate((Fitted(),))
    assert new.to_json() == [record | {"recover": "least_squares"}]
    assert Candidate.from_json(new.to_json()) == new and new.key != old.key


@pytest.mark.parametrize("name", NETS)
def test_what_cannot_be_mended_stays(name: str) -> None:
    """Ranked by reconstruction, the refitted model loses no more than ranked by kernels, within a tenth; and the same twice."""
    body, shape = NETS[name]
    model = build(shape, body)
    given = context(model)
    before = model.get_weights()
    by_kernels = Fitted(ratio=0.5, multiple=4).apply(model, given)
    step = Channels(ratio=0.5, multiple=4)
    fitted = step.apply(model, given)
    assert same(before, model.get_weights())
    assert lost(model, fitted) < 1.1 * lost(model, by_kernels)
    assert np.array_equal(step.plan(model, given)[1], step.plan(model, given)[1])


def test_a_double_goes_first() -> None:
    """Channel 5 gives what channel 2 gives, with the largest kernels: norms keep both, and the other makes up for one of them."""

    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(8, 3, activation="relu", name="conv")(x)
        return layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, name="reader")(x)))

    model = build((8, 8, 3), body)
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[..., 5], bias[5] = kernel[..., 2], bias[2]
    model.get_layer("conv").set_weights([kernel * np.where(np.isin(np.arange(8), (2, 5)), 3, 1), bias])
    graph, kept = Channels(ratio=0.1, multiple=1, skip=("reader",)).plan(model, context(model))
    (group,) = [group for group in graph.groups if group.layers == ("conv",)]
    assert np.flatnonzero(~kept[group.channels]).tolist() in ([2], [5])
    fitted = Channels(ratio=0.1, multiple=1, skip=("reader",)).apply(model, context(model))
    assert lost(model, fitted) < 1e-3


def test_importance_by_reconstruction_needs_samples() -> None:
    body, shape = NETS["residual"]
    with pytest.raises(Refused, match="importance reconstruction needs activations, and there are no samples"):
        Channels(recover="none").apply(build(shape, body), CONTEXT)
