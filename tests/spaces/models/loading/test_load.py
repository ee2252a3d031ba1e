"""The user's model: what is read, and what is refused in words."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile

import numpy as np
import pytest

from litetuner.spaces.errors import ConfigError, ModelError
from litetuner.spaces.models.loading.load import load_model
from litetuner.spaces.tf import load


@pytest.fixture(scope="module")
def keras():
    load()
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def tf_keras(keras):
    return pytest.importorskip("tf_keras")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of the user's and returns its name."""

    def write(text, name="user_model"):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return write


def small(keras, activation=None):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, activation=activation, name="head")], name="small"
    )


def test_keras_files_are_read_by_keras_3(keras, tmp_path):
    model = small(keras)
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        loaded = load_model(str(tmp_path / name))
        assert (loaded.kind, loaded.name) == ("keras3", "net")
        assert loaded.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert [(a == b).all() for a, b in zip(loaded.model.get_weights(), model.get_weights(), strict=True)] == [
            True
        ] * 2


def old_models(tf_keras):
    layers = tf_keras.layers

    def functional(shape, build):
        inputs = layers.Input(shape)
        return tf_keras.Model(inputs, build(inputs))

    def sequential(shape, *items):
        return tf_keras.Sequential([layers.Input(shape), *items])

    nested = sequential((8, 4), layers.Dense(4))

    def hard_swish(x):
        x = layers.Conv2D(4, 3, name="Conv/Stem")(x)
        return layers.Multiply()([x, layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)])

    return {
        "groups": sequential(
            (8, 8, 3), layers.DepthwiseConv2D(3), layers.SeparableConv2D(4, 3), layers.Conv2DTranspose(3, 3)
        ),
        "time_major": sequential((6, 3), layers.LSTM(4, return_sequences=True), layers.Bidirectional(layers.GRU(3))),
        "dropout": sequential((8, 8, 3), layers.SpatialDropout2D(0.1), layers.LeakyReLU(0.1), layers.Flatten()),
        "conv3d": sequential((6, 6, 6, 2), layers.Conv3D(3, 3), layers.Conv3DTranspose(2, 3)),
        "input_length": tf_keras.Sequential([layers.Embedding(10, 4, input_length=6), layers.Flatten()]),
        "nested": functional((8, 4), lambda x: layers.Dense(2)(nested(x))),
        "operators": functional((8, 8, 3), hard_swish),
        "two tensors": functional((4,), lambda x: layers.Dense(4)(x) + x),
    }


def test_old_h5_files_are_mended_for_keras_3(tf_keras, tmp_path):
    for name, model in old_models(tf_keras).items():
        path = tmp_path / "old.h5"
        model.save(path, include_optimizer=False)
        before = path.read_bytes()
        loaded = load_model(str(path))
        assert loaded.kind == "keras3", name
        x = np.random.default_rng(0).uniform(0, 3, (2, *model.input_shape[1:])).astype("float32")
        difference = np.abs(loaded.model.predict(x, verbose=0) - model.predict(x, verbose=0))
        assert difference.max() <= 1e-6, name
        assert path.read_bytes() == before


def test_old_keras_files_are_mended_too(tf_keras, tmp_path):
    layers = tf_keras.layers
    inputs = layers.Input((8, 8, 3))
    inner = tf_keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()]
    )
    x = layers.Add()([inner(inputs), layers.DepthwiseConv2D(1)(inputs + 1.0)])
    model = tf_keras.Model(inputs, layers.Dense(2)(layers.LSTM(3)(layers.Reshape((64, 3))(x))))
    model.save(tmp_path / "old.keras")
    loaded = load_model(str(tmp_path / "old.keras"))
    data = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert loaded.kind == "keras3"
    assert np.abs(loaded.model.predict(data, verbose=0) - model.predict(data, verbose=0)).max() <= 1e-6


def test_weights_that_would_be_mixed_up_are_refused(tf_keras, tmp_path, monkeypatch):
    """Weights of Keras 2 files are handed out in order of layers, so another order is no file to use."""
    from litetuner.spaces.models.loading import keras2_files as legacy

    model = tf_keras.Sequential(
        [tf_keras.Input((4,)), tf_keras.layers.Dense(4, name="a"), tf_keras.layers.Dense(4, name="b")]
    )
    model.save(tmp_path / "old.h5")
    check = legacy._check_order

    def reversed_order(config, found):
        check({"config": {"layers": config["config"]["layers"][::-1]}}, found)

    monkeypatch.setattr(legacy, "_check_order", reversed_order)
    with pytest.raises(ModelError, match="mixed up"):
        load_model(str(tmp_path / "old.h5"))


def test_mixed_precision_is_read_as_float32(keras, tmp_path):
    layers = [keras.layers.Dense(4, dtype="mixed_float16"), keras.layers.Dense(2, dtype="mixed_float16")]
    keras.Sequential([keras.Input((4,)), *layers]).save(tmp_path / "mixed.keras")
    loaded = load_model(str(tmp_path / "mixed.keras"))
    assert loaded.model(np.ones((1, 4), "float32")).dtype == "float32"


def test_a_missing_file_is_named_with_its_neighbors(keras, tmp_path):
    small(keras).save(tmp_path / "resnet.keras")
    with pytest.raises(ModelError, match=r"did you mean 'resnet.keras'\?"):
        load_model(str(tmp_path / "resmet.keras"))
    with pytest.raises(ModelError, match="no folder"):
        load_model(str(tmp_path / "nowhere" / "resnet.keras"))


def test_what_is_no_model_is_refused(keras, tmp_path):
    (tmp_path / "text.keras").write_text("hello")
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "net.onnx").write_text("hello")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with zipfile.ZipFile(tmp_path / "deep.keras", "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
    os.mkfifo(tmp_path / "pipe.keras")
    with pytest.raises(ModelError, match="there is no file"):
        load_model(str(tmp_path / "pipe.keras"))
    for name in ("text.keras", "text.h5", "net.onnx", "empty.keras", "deep.keras"):
        with pytest.raises(ModelError, match="not a Keras model"):
            load_model(str(tmp_path / name))
    with pytest.raises(ModelError, match="is a folder, not a model"):
        load_model(str(tmp_path))
    model = small(keras)
    model.save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(ModelError, match="holds weights only"):
        load_model(str(tmp_path / "net.weights.h5"))


def test_lambdas_are_refused_by_name_and_nothing_is_run(keras, tf_keras, tmp_path):
    marker = tmp_path / "ran"
    for library, name in ((keras, "new.keras"), (keras, "new.h5"), (tf_keras, "old.h5"), (tf_keras, "old.keras")):
        harm = library.layers.Lambda(
            lambda x, path=str(marker): (open(path, "w").close(), x)[1], name="harm", output_shape=(4,)
        )
        library.Sequential([library.Input((4,)), harm]).save(tmp_path / name)
        marker.unlink(missing_ok=True)  # building the model ran it
        with pytest.raises(ModelError, match=r"'harm' is a Lambda(.|\n)*--trust-model"):
            load_model(str(tmp_path / name))
        assert not marker.exists(), name


def test_trust_opens_lambdas_and_saved_models(keras, tf_keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2.0, output_shape=(4,))])
    model.save(tmp_path / "mine.keras")
    assert load_model(str(tmp_path / "mine.keras"), trust=True).kind == "keras3"
    old = small(tf_keras)
    old.save(tmp_path / "saved", save_format="tf")
    with pytest.raises(ModelError, match=r"SavedModel, which is code(.|\n)*--trust-model"):
        load_model(str(tmp_path / "saved"))
    loaded = load_model(str(tmp_path / "saved"), trust=True)
    assert (loaded.kind, loaded.name) == ("tf_keras", "saved")
    inputs = tf_keras.Input((4,))
    tf_keras.Model(inputs, load().nn.relu(inputs)).save(tmp_path / "operator.keras")
    with pytest.raises(ModelError, match=r"TensorFlow function(.|\n)*--trust-model"):
        load_model(str(tmp_path / "operator.keras"))
    assert load_model(str(tmp_path / "operator.keras"), trust=True).kind == "tf_keras"


def test_custom_layers_in_files_are_named(keras, tmp_path):
    class Mine(keras.layers.Dense):
        pass

    keras.Sequential([keras.Input((4,)), Mine(2, name="special")]).save(tmp_path / "custom.keras")
    with pytest.raises(ModelError, match=r"'special' is a Mine(.|\n)*module:function"):
        load_model(str(tmp_path / "custom.keras"))


FUNCTIONS = """
def new():
    import keras
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

def old():
    import tf_keras
    return tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(2)])

def subclassed():
    import keras
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(2)
        def call(self, x):
            return self.head(x)
    return Net()

def unbuilt():
    import keras
    return keras.Sequential([keras.layers.Dense(2)])

def text():
    import keras
    x = keras.Input((1,), dtype="string")
    return keras.Model(x, keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4)(x))

def nothing():
    return 3
"""


def test_functions_give_models_of_either_keras(module):
    name = module(FUNCTIONS)
    new, again = load_model(f"{name}:new"), load_model(f"{name}:new")
    assert (new.kind, new.name) == ("keras3", "new")
    assert new.sha256 == again.sha256  # the same layers get the same names each time
    assert load_model(f"{name}:old").kind == "tf_keras"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("subclassed", "subclassed model"),
        ("unbuilt", "never built"),
        ("text", "takes text"),
        ("nothing", "gave a int"),
    ],
)
def test_models_that_cannot_be_searched_are_refused(module, function, reason):
    with pytest.raises(ModelError, match=reason):
        load_model(f"{module(FUNCTIONS)}:{function}")


def test_a_missing_function_is_refused(module):
    with pytest.raises(ConfigError, match="subclased"):
        load_model(f"{module(FUNCTIONS)}:subclased")


def test_operators_in_old_files_are_refused_with_the_way_out(keras, tf_keras, tmp_path):
    inputs = keras.Input((4, 2))
    keras.Model(inputs, keras.layers.Dense(2)(inputs[:, 0])).save(tmp_path / "three.h5")
    with pytest.raises(ModelError, match=r"cannot read back. Save the model with model.save\('model.keras'\)"):
        load_model(str(tmp_path / "three.h5"))
    inputs = tf_keras.Input((4,))
    model = tf_keras.Model(inputs, load().nn.relu(inputs))
    for name in ("two.h5", "two.keras"):
        model.save(tmp_path / name)
        with pytest.raises(ModelError, match=r"is the TensorFlow function 'nn\.relu'.*--trust-model opens it"):
            load_model(str(tmp_path / name))
        assert load_model(str(tmp_path / name), trust=True).kind == "tf_keras"


def test_adapted_normalizations_of_keras_2_are_read(tf_keras, tmp_path):
    layer = tf_keras.layers.Normalization()
    layer.adapt(np.arange(12.0).reshape(4, 3))
    model = tf_keras.Sequential([tf_keras.Input((3,)), layer])
    x = np.ones((2, 3), np.float32)
    for name in ("old.keras", "old.h5"):
        model.save(tmp_path / name)
        found = load_model(str(tmp_path / name)).model
        np.testing.assert_allclose(np.asarray(found(x)), model(x), atol=1e-6)
