"""The bridge is exact: every rebuilt model is compared with its original on random data (tolerance 1e-5, mostly 0)."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.errors import BuildFailed, ModelError
from litetuner.spaces.models.checkpoint import read_model, set_weights, write_model, write_weights
from litetuner.spaces.models.keras_bridge.bridge import TOLERANCE, bridge, clone
from litetuner.spaces.tf import load
from tests.spaces.models.keras_bridge.bridge_nets import (
    attention,
    cells,
    convolutions,
    functional,
    functions,
    masked,
    operators,
    randomise,
    refused_models,
    sequences,
    sequential,
    transformer,
    volumes,
)


@pytest.fixture(scope="module")
def keras():
    load()
    import keras

    return keras


def normal(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def names(model):
    return [layer.name for layer in model.layers]


def conv_model(keras, name="net"):
    layers = keras.layers
    return randomise(
        keras.Sequential(
            [
                keras.Input((8, 8, 3), name="image"),
                layers.Conv2D(
                    6, 3, name="stem", kernel_regularizer="l2", kernel_constraint=keras.constraints.MaxNorm(2)
                ),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-4, name="norm"),
                layers.ReLU(max_value=6, negative_slope=0.1, name="relu"),
                layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depth"),
                layers.GlobalAveragePooling2D(keepdims=True, name="pool"),
                layers.Flatten(name="flat"),
                layers.Dense(3, activation="softmax", name="head"),
            ],
            name=name,
        )
    )


def test_sequential_becomes_functional_with_its_names_and_settings(keras):
    import tf_keras

    copy, difference = bridge(conv_model(keras), normal(4, 8, 8, 3))
    assert isinstance(copy, tf_keras.Model) and not isinstance(copy, tf_keras.Sequential)
    assert difference <= TOLERANCE
    assert names(copy) == ["image", "stem", "norm", "relu", "depth", "pool", "flat", "head"]
    assert (copy.get_layer("norm").momentum, copy.get_layer("norm").epsilon) == (0.9, 1e-4)
    assert float(copy.get_layer("stem").kernel_regularizer.l2) == pytest.approx(0.01)
    assert copy.get_layer("stem").kernel_constraint.max_value == 2


@pytest.mark.parametrize(
    "build", [convolutions, sequences, attention, operators, functions, transformer, cells, volumes, masked]
)
def test_rebuilt_models_compute_the_same_and_survive_a_checkpoint(keras, build):
    model = randomise(build(keras))
    shape = (4, *model.input_shape[1:])
    x = np.random.default_rng(0).integers(0, 20, shape) if build is masked else normal(*shape)
    copy, difference = bridge(model, x)
    assert difference <= TOLERANCE
    blob = write_model(copy)
    read = read_model(blob)
    assert write_model(read) == blob
    np.testing.assert_array_equal(np.asarray(read(x, training=False)), np.asarray(copy(x, training=False)))


def test_hard_silu_of_keras_3_becomes_one_hard_swish(keras):
    """The rebuilt form is what the converter fuses."""
    from ai_edge_litert.interpreter import Interpreter

    from litetuner.spaces.tf import quiet_stdout

    layers = keras.layers
    copy, _ = bridge(sequential(keras, (8, 8, 3), layers.Conv2D(4, 3, activation="hard_silu")), normal(2, 8, 8, 3))
    with quiet_stdout():
        content = load().lite.TFLiteConverter.from_keras_model(copy).convert()
    found = [item["op_name"] for item in Interpreter(model_content=content)._get_ops_details()]
    assert found == ["CONV_2D", "HARD_SWISH"]


def test_normalization_is_rebuilt_from_adapted_and_given_statistics(keras):
    layers = keras.layers
    data = np.random.default_rng(0).normal(3, 2, (50, 6)).astype("float32")
    for axis in (-1, None):
        adapted = layers.Normalization(axis=axis)
        adapted.adapt(data)
        assert bridge(sequential(keras, (6,), adapted, layers.Dense(2)), data)[1] <= TOLERANCE
    given = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    model = sequential(keras, (4, 4, 3), layers.Rescaling(1 / 127.5, -1.0), given, layers.Flatten())
    assert bridge(model, 255 * normal(3, 4, 4, 3))[1] <= TOLERANCE


def test_shared_layers_stay_shared(keras):
    layers = keras.layers

    def build(inputs):
        shared = layers.Dense(6, activation="relu", name="shared")
        return layers.Concatenate()([shared(inputs), shared(layers.Dense(6, name="other")(inputs))])

    copy, difference = bridge(functional(keras, (6,), build), normal(4, 6))
    assert difference <= TOLERANCE
    assert names(copy).count("shared") == 1 and len(copy.get_layer("shared").inbound_nodes) == 2


def test_nested_and_frozen_models_are_unrolled_and_trainable(keras):
    layers = keras.layers
    backbone = randomise(
        sequential(
            keras, (8, 8, 3), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.Flatten()
        )
    )
    backbone.name = "backbone"
    backbone.trainable = False

    def build(inputs):
        x = layers.RandomFlip()(layers.Rescaling(0.5, name="scale")(inputs))
        once, twice = backbone(x, training=False), backbone(inputs)
        return layers.Dense(2, name="conv")(layers.Subtract()([once, twice]))

    copy, difference = bridge(functional(keras, (8, 8, 3), build), normal(3, 8, 8, 3))
    assert difference <= TOLERANCE
    # The outer "conv" keeps its name; the nested one takes its model's in front. One object, called twice.
    assert {"conv", "backbone_conv", "norm", "scale"} <= set(names(copy))
    assert not any("random" in name for name in names(copy))
    assert len(copy.get_layer("backbone_conv").inbound_nodes) == 2
    assert len(copy.trainable_weights) == 6


def test_dictionaries_of_one_input_and_output_are_taken(keras):
    inputs = keras.Input((4,), name="a")
    model = keras.Model({"a": inputs}, {"out": keras.layers.Dense(2)(inputs)})
    assert bridge(model, normal(2, 4))[1] <= TOLERANCE


def test_tf_keras_models_are_flattened_too(keras):
    import tf_keras

    layers = tf_keras.layers
    inner = tf_keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization()]
    )
    model = tf_keras.Sequential([layers.Input((8, 8, 3)), inner, layers.Flatten(), layers.Dense(2, name="head")])
    copy, difference = bridge(model, normal(3, 8, 8, 3))
    assert difference == 0.0 and not isinstance(copy, tf_keras.Sequential)
    assert [type(layer).__name__ for layer in copy.layers][1:3] == ["Conv2D", "BatchNormalization"]
    assert all(ours is not theirs for ours in copy.layers for theirs in (*model.layers, *inner.layers))


def test_what_cannot_be_rebuilt_is_refused_by_name(keras):
    for reason, model in refused_models(keras).items():
        with pytest.raises(ModelError) as caught:
            bridge(model, normal(2, *model.input_shape[1:]))
        assert reason in str(caught.value)
        assert ("cumsum" if reason == "Cumsum" else "culprit") in str(caught.value)


def test_different_outputs_are_refused(keras):
    """Half precision computes something else than the copy, whatever the layers are."""
    model = sequential(keras, (8,), keras.layers.Dense(8, dtype="mixed_float16"))
    with pytest.raises(ModelError, match="other outputs"):
        bridge(model, normal(4, 8))
    nan = sequential(keras, (2,), keras.layers.Dense(1))
    nan.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    with pytest.raises(ModelError, match="other outputs"):
        bridge(nan, normal(4, 2))
    with pytest.raises(ValueError, match="at least one sample"):
        bridge(nan, normal(0, 2))


def test_training_a_clone_leaves_the_original_alone(keras):
    model, _ = bridge(conv_model(keras), normal(4, 8, 8, 3))
    before = [weight.copy() for weight in model.get_weights()]
    copy = clone(model)
    assert names(copy) == names(model)
    assert all(ours is not theirs for ours, theirs in zip(copy.layers, model.layers, strict=True))
    assert all((a == b).all() for a, b in zip(copy.get_weights(), before, strict=True))
    copy.compile("sgd", "mse")
    copy.fit(normal(8, 8, 8, 3), np.zeros((8, 3)), verbose=0)
    assert all((a == b).all() for a, b in zip(model.get_weights(), before, strict=True))
    assert any((a != b).any() for a, b in zip(copy.get_weights(), before, strict=True))


def test_checkpoints_are_deterministic_and_bit_exact(keras):
    model, _ = bridge(conv_model(keras), normal(4, 8, 8, 3))
    odd = model.get_weights()
    odd[0][0, 0, 0, :4] = [np.nan, -0.0, 1e-42, np.inf]
    model.set_weights(odd)
    blob = write_model(model)
    assert blob == write_model(clone(model))
    read = read_model(blob)
    assert [w.tobytes() for w in read.get_weights()] == [w.tobytes() for w in odd]
    assert names(read) == names(model)
    other = clone(model)
    other.set_weights([np.zeros_like(weight) for weight in odd])
    set_weights(other, write_weights(model))
    assert [w.tobytes() for w in other.get_weights()] == [w.tobytes() for w in odd]


def test_checkpoints_that_do_not_fit_are_refused(keras):
    import tf_keras

    model, _ = bridge(conv_model(keras), normal(4, 8, 8, 3))
    small = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(2)])
    with pytest.raises(BuildFailed, match="does not fit"):
        set_weights(small, write_weights(model))
    with pytest.raises(BuildFailed, match="weights only"):
        read_model(write_weights(model))
    with pytest.raises(BuildFailed, match="not a litetuner checkpoint"):
        read_model(b"not a zip")
    with pytest.raises(BuildFailed, match="'code'"):
        write_model(tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Lambda(lambda x: x, name="code")]))
