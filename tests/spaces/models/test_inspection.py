"""What the facts allow, tfmot and the quantizer really do; what they refuse fails there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from litetuner.spaces.info import ModelInfo
from litetuner.spaces.models.inspection import model_info
from litetuner.spaces.models.loading.load import LoadedModel
from litetuner.spaces.quantization.int4 import int4_operators
from litetuner.spaces.rules import SpaceConstraints
from litetuner.spaces.space import Space
from litetuner.spaces.tf import load, quiet_stdout


@pytest.fixture(scope="module")
def tf_keras():
    load()
    import tf_keras

    return tf_keras


def chain(tf_keras, shape, *layers):
    inputs = tf_keras.Input(shape)
    x = inputs
    for layer in layers:
        x = layer(x)
    return tf_keras.Model(inputs, x)


def facts_of(model, refusal=None):
    return model_info(LoadedModel(model, "tf_keras", "0" * 64, "net"), None if refusal else model, refusal, 0.0)


@pytest.fixture(scope="module")
def images(tf_keras):
    layers = tf_keras.layers
    inputs = tf_keras.Input((10, 10, 3))
    x = layers.Rescaling(1 / 255.0, name="rescale")(inputs)
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization(name="folded")(x)
    branch = layers.ReLU(name="relu")(x)
    x = layers.Activation("swish", name="swish")(branch)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depth")(x)
    x = layers.BatchNormalization(name="alone")(x)
    x = layers.Multiply(name="multiply")([x, branch])
    x = layers.Add(name="add")([x, branch])
    x = layers.Concatenate(name="concatenate")([x, branch])
    x = layers.Conv2D(4, 3, activation="elu", name="elu_inside")(x)
    x = layers.Activation("softplus", name="softplus")(x)
    x = layers.SeparableConv2D(4, 3, name="separable")(x)
    x = layers.Conv2DTranspose(3, 3, name="transpose")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dropout(0.1, name="drop")(x)
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(x))


def test_facts_describe_the_model_in_running_order(images):
    facts = facts_of(images)
    assert [layer.name for layer in facts.layers] == [layer.name for layer in images.layers[1:]]
    assert (facts.input_shape, facts.input_dtype, facts.output_shape) == ((None, 10, 10, 3), "float32", (None, 2))
    assert facts.output_activation == "softmax"
    assert facts.parameters == images.count_params() == sum(layer.parameters for layer in facts.layers)
    by_name = {layer.name: layer for layer in facts.layers}
    assert by_name["conv"].kernel_shape == (3, 3, 3, 4) and by_name["relu"].kernel_shape == ()
    assert by_name["conv"].output_shape == (None, 10, 10, 4)
    assert ModelInfo.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def allowed(facts, technique):
    return {layer.name for layer in facts.layers_for(technique)}


def test_images_are_classified(images):
    facts = facts_of(images)
    assert allowed(facts, "prune") == {"conv", "elu_inside", "separable", "transpose", "head"}
    assert allowed(facts, "cluster") == {"conv", "elu_inside", "separable", "transpose", "head"}
    assert allowed(facts, "int4") == {"conv", "elu_inside", "head"}
    refused = {layer.name for layer in facts.layers if not layer.can("qat")}
    assert refused == {"rescale", "alone", "multiply", "elu_inside", "softplus", "separable"}
    reasons = {layer.name: layer.refusals for layer in facts.layers}
    assert reasons["depth"]["int4"] == "DEPTHWISE_CONV_2D takes no 4-bit weights"
    assert reasons["relu"]["prune"] == "it has no weights"


def test_sequences_are_classified(tf_keras):
    layers = tf_keras.layers
    model = chain(
        tf_keras,
        (12, 4),
        layers.Conv1D(4, 3, name="conv"),
        layers.MaxPooling1D(name="pool"),
        layers.LSTM(4, return_sequences=True, name="lstm"),
        layers.Bidirectional(layers.GRU(4, return_sequences=True), name="both"),
        layers.TimeDistributed(layers.Dense(3), name="each"),
        layers.GlobalAveragePooling1D(name="mean"),
        layers.Dense(2, name="head"),
    )
    facts = facts_of(model)
    assert allowed(facts, "prune") == {"conv", "head"}  # recurrent kernels cannot be told apart in the file
    assert allowed(facts, "cluster") == {"conv", "head"}
    assert allowed(facts, "qat") == {"head"}
    assert allowed(facts, "int4") == {"conv", "each", "head"}
    unable = {key: {layer.name for layer in facts.layers if not layer.can(key)} for key in ("quantizer", "integer")}
    assert unable == {"quantizer": {"lstm", "both"}, "integer": {"both"}}  # tf_keras' LSTM stays one operator
    assert facts.output_activation == "linear"


def test_embedding_and_attention_are_classified(tf_keras):
    layers = tf_keras.layers
    inputs = tf_keras.Input((6,))
    x = layers.Embedding(10, 4, name="embed")(inputs)
    x = layers.MultiHeadAttention(2, 4, name="attend")(x, x)
    x = layers.LayerNormalization(name="norm")(x)
    facts = facts_of(tf_keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="head")(layers.Flatten()(x))))
    assert allowed(facts, "prune") == {"embed", "head"}
    assert allowed(facts, "cluster") == {"embed", "head"}
    assert allowed(facts, "qat") == {"head"}
    assert allowed(facts, "int4") == {"attend", "head"}
    assert facts.output_activation == "sigmoid"


def test_without_a_bridge_nothing_is_trained_and_int4_still_is(images):
    facts = facts_of(images, refusal="layer 'x' is custom")
    assert facts.bridge_refusal == "layer 'x' is custom"
    for layer in facts.layers:
        for technique in ("prune", "cluster", "qat"):
            assert layer.refusals[technique] == "the model cannot be trained: layer 'x' is custom"
    assert allowed(facts, "int4") == {"conv", "elu_inside", "head"}


def test_a_keras_3_model_has_facts_before_the_bridge(tf_keras):
    import keras

    layers = keras.layers
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="inner"), layers.Flatten()])
    model = keras.Sequential([keras.Input((8, 8, 3)), inner, layers.Dense(3, name="head"), layers.Softmax()])
    facts = model_info(LoadedModel(model, "keras3", "0" * 64, "net"), None, None, None)
    assert [layer.name for layer in facts.layers][:1] == ["inner"]
    assert facts.output_activation == "softmax" and facts.input_shape == (None, 8, 8, 3)
    assert facts.bridge_refusal is None and not facts.layers_for("prune")
    assert allowed(facts, "int4") == {"inner", "head"}


def test_tfmot_accepts_what_qat_allows(tf_keras, images):
    """All allowed layers annotated together, one training step: nothing raises; each refused layer alone makes it raise, or
    is one that litetuner leaves out on purpose."""
    import tensorflow_model_optimization as tfmot

    annotate = tfmot.quantization.keras.quantize_annotate_layer
    facts = facts_of(images)
    good = {layer.name for layer in facts.layers if layer.can("qat")}

    def quantize(chosen):
        marked = tf_keras.models.clone_model(
            images,
            clone_function=lambda layer: (
                annotate(type(layer).from_config(layer.get_config())) if layer.name in chosen else layer
            ),
        )
        return tfmot.quantization.keras.quantize_apply(marked)

    model = quantize(good)
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 10, 10, 3), "float32"), np.zeros((2, 2)), verbose=0)
    for bad in ("rescale", "alone", "multiply", "elu_inside", "softplus"):
        with pytest.raises((RuntimeError, ValueError)):
            quantize({bad})


def test_the_quantizer_gives_4_bits_to_what_int4_allows(tf_keras):
    """Weights of 4 bits are counted in the quantized file, for each layer type."""
    from ai_edge_litert.tools import flatbuffer_utils
    from litert_quantizer import qtyping, quantizer

    tf, layers = load(), tf_keras.layers
    cases = [
        ((8, 8, 3), layers.Conv2D(64, 3)),
        ((8, 8, 32), layers.DepthwiseConv2D(5)),
        ((12, 8), layers.Conv1D(64, 3)),
        ((32,), layers.Dense(64)),
        ((5, 16), layers.TimeDistributed(layers.Dense(64))),
        ((8, 8, 3), layers.Conv2DTranspose(64, 3)),
        ((6,), layers.Embedding(100, 16)),
        ((12, 8), layers.LSTM(32)),
    ]
    for shape, layer in cases:
        model = chain(tf_keras, shape, layer)
        function = tf.function(lambda x, model=model: model(x)).get_concrete_function(tf.TensorSpec((1, *shape)))
        with quiet_stdout():
            content = tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert()
            work = quantizer.Quantizer(content)
            work.add_weight_only_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, 4)
            quantized = flatbuffer_utils.read_model_from_bytearray(bytearray(work.quantize().quantized_model))
        int4 = [tensor for graph in quantized.subgraphs for tensor in graph.tensors if tensor.type == 17]
        assert bool(int4) == facts_of(model).layers[0].can("int4"), type(layer).__name__


def test_the_policy_is_read_from_the_quantizer():
    assert int4_operators() == {"CONV_2D", "FULLY_CONNECTED"}


@pytest.mark.parametrize(("activation", "folds"), [(None, True), ("relu", False)])
def test_a_normalization_behind_an_activation_cannot_be_folded(tf_keras, activation, folds):
    layers = tf_keras.layers
    model = chain(
        tf_keras, (8, 8, 3), layers.Conv2D(8, 3, activation=activation), layers.BatchNormalization(), layers.ReLU()
    )
    facts = facts_of(model)
    assert facts.folds is folds and ModelInfo.from_json(json.loads(json.dumps(facts.to_json()))).folds is folds
    assert Space(SpaceConstraints(facts, True), ()).folds() is folds
    assert facts_of(model, "no bridge").folds is None, "nobody looked"
