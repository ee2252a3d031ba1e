"""Models that somebody may bring: each works, or is refused in one sentence that says why and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.objectives.scoring.predict import predict
from litetuner.spaces.building.trainable import rebuild
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, ModelError, keras_error_text
from litetuner.spaces.models.loading.load import load_model
from litetuner.spaces.models.outputs import original_outputs
from litetuner.spaces.models.signature import input_tensors, output_tensors
from litetuner.spaces.models.signature import predict as original
from litetuner.spaces.tf import load
from litetuner.spaces.tflite.conversion import convert
from litetuner.spaces.training.fit import fit

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def keras():
    load()
    import keras

    return keras


def plain(converter, tf):
    """The float file."""


def opened(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return load_model(str(tmp_path / "model.keras")).model


def rebuilt(model, x):
    """The copy that is trained, after its float file was seen to compute what the model does (1e-4)."""
    copy, refusal, _ = rebuild(model, x)
    assert refusal is None, refusal
    (expected,) = original(model, [x])
    assert np.abs(predict(convert(copy, plain), x) - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
    return copy


def refusal_of(call, *arguments):
    with pytest.raises(ModelError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    return str(caught.value)


def test_names_that_tensorflow_does_not_take_are_trained_all_the_same(keras, tmp_path):
    inputs = keras.Input((4,), name="input image (rgb)")
    x = keras.layers.Dense(4, name="größe 1")(inputs)
    outputs = keras.layers.Dense(2, name="out put")(x)
    x = RNG.random((8, 4), np.float32)
    copy = rebuilt(opened(keras.Model(inputs, outputs, name="my model! 活"), tmp_path), x)
    context = Context(x, np.arange(8) % 2, x, "sparse_categorical_crossentropy", 4, 0)
    fit(copy, context, epochs=1.0, learning_rate=1e-3)


@pytest.mark.parametrize("size", [1, 8])
def test_a_fixed_batch_becomes_free_and_weights_and_names_stay(keras, tmp_path, size):
    layers = [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.Flatten(), keras.layers.Dense(2, name="head")]
    inputs = keras.Input(batch_shape=(size, 6, 6, 1), name="image")
    x = RNG.random((size, 6, 6, 1), np.float32)
    for model in (
        keras.Sequential([inputs, *layers]),
        keras.Model({"image": inputs}, layers[2](layers[1](layers[0](inputs)))),
    ):
        found = opened(model, tmp_path)
        assert input_tensors(found)[0].name == "image" and output_tensors(found)[0].name == "head"
        np.testing.assert_allclose(original(found, [x])[0], original(model, [x])[0], atol=1e-6)
        rebuilt(found, RNG.random((3, 6, 6, 1), np.float32))


def test_a_fixed_batch_of_keras_2_becomes_free(keras, tmp_path):
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input(batch_shape=(4, 3)), tf_keras.layers.Dense(2)])
    model.save(tmp_path / "old.h5")
    rebuilt(load_model(str(tmp_path / "old.h5")).model, RNG.random((3, 3), np.float32))


def test_a_batch_that_the_graph_counts_on_is_refused(keras, tmp_path):
    inputs = keras.Input(batch_shape=(8, 4, 2))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.ops.reshape(inputs, (8, 8))))
    said = refusal_of(opened, model, tmp_path)
    assert "batches of 8" in said and "keras.Input(shape)" in said


def test_layers_that_remember_are_refused_by_name(keras, tmp_path):
    inputs = keras.Input(batch_shape=(1, 4, 2))
    model = keras.Model(inputs, keras.layers.GRU(2, stateful=True, name="memory")(inputs))
    assert "'memory' is stateful" in refusal_of(opened, model, tmp_path)


def test_a_model_that_fails_on_its_data_says_so_without_a_traceback(keras):
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(4, 2), keras.layers.Flatten()])
    x = np.full((3, 2), 9, np.int32)
    said = refusal_of(original_outputs, model, x, output_tensors(model), output_tensors(model)[0])
    assert "the model itself fails on samples 0 to 2 of the search split" in said and "9" in said


@pytest.mark.parametrize(
    "text, said",
    [
        ("Exception encountered when calling A.call().\n\n\x1b[1mInput 0 is wrong\x1b[0m\n\nArguments", "Input 0 is wrong."),
        ("Example error message for object X:\n\nLayer 'a' got 0.", "Example error message for object X: Layer 'a' got 0."),
        ("{{function_node __wrapped__X}} no such size [Op:Reshape]", "no such size."),
        ("", "ValueError."),
    ],
)  # fmt: skip
def test_what_keras_says_in_one_line(text, said):
    assert keras_error_text(ValueError(text)) == said


def test_a_pipeline_of_augmentation_is_left_out_and_its_other_layers_stay(keras, tmp_path):
    steps = [keras.layers.RandomFlip(), keras.layers.Rescaling(0.5), keras.layers.Conv2D(2, 3, name="inner")]
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), keras.layers.Pipeline(steps, name="prepare"), keras.layers.Flatten()]
    )
    copy = rebuilt(opened(model, tmp_path), RNG.random((4, 6, 6, 3), np.float32))
    assert [type(layer).__name__ for layer in copy.layers] == ["InputLayer", "Rescaling", "Conv2D", "Flatten"]


def test_lora_is_merged_into_the_kernels(keras):
    inputs = keras.Input((5,), dtype="int32")
    table, dense = keras.layers.Embedding(9, 6), keras.layers.Dense(4)
    model = keras.Model(inputs, keras.layers.Flatten()(dense(table(inputs))))
    for layer in (table, dense):
        layer.enable_lora(2)
        for weight in layer.trainable_weights:
            weight.assign(RNG.normal(size=weight.shape))
    copy = rebuilt(model, RNG.integers(0, 9, (4, 5)))
    assert len(copy.weights) == 3


def test_the_layers_of_convnext_are_rebuilt(keras):
    from keras.src.applications import convnext

    inputs = keras.Input((6, 6, 4))
    scale = convnext.LayerScale(1e-6, 4)
    x = convnext.StochasticDepth(0.5)(scale(keras.layers.DepthwiseConv2D(3, padding="same")(inputs)))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs + x))
    scale.gamma.assign(RNG.normal(size=4))
    rebuilt(model, RNG.random((4, 6, 6, 4), np.float32))


def test_an_operator_that_tensorflow_lite_lacks_is_named(keras):
    model = keras.Sequential([keras.Input((4, 4, 4, 1)), keras.layers.MaxPooling3D()])
    with pytest.raises(BuildFailed, match=r"TensorFlow Lite has no operator MaxPool3D; replace the layer"):
        convert(model, plain)


def test_an_activation_of_the_users_is_named_with_what_to_do(keras, tmp_path, monkeypatch):
    def bend(x):
        return x * keras.ops.sigmoid(x)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation=bend, name="bent")(inputs))
    said = refusal_of(opened, model, tmp_path)
    assert "layer 'bent' uses the function 'bend' of yours" in said and "--custom-objects module:dict" in said
    (tmp_path / "bending.py").write_text(
        "import keras\ndef bend(x): return x * keras.ops.sigmoid(x)\nown = {'bend': bend}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = load_model(str(tmp_path / "model.keras"), custom_objects="bending:own").model
    x = RNG.random((3, 4), np.float32)
    np.testing.assert_allclose(original(found, [x])[0], original(model, [x])[0], atol=1e-6)


def test_tables_are_refused_by_name(keras, tmp_path):
    table = keras.layers.IntegerLookup(vocabulary=[3, 7], output_mode="one_hot", name="codes")
    model = keras.Sequential([keras.Input((1,), dtype="int64"), table, keras.layers.Dense(2)])
    assert "layer 'codes' (IntegerLookup)" in refusal_of(opened, model, tmp_path)
