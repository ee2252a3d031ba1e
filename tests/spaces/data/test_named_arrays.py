"""Models with several inputs and outputs, traced models and custom layers: data, bridge, conversion and scoring by name."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.scoring.predict import predict
from litetuner.spaces.building.trainable import rebuild
from litetuner.spaces.data.calibration import calibration_samples
from litetuner.spaces.data.named_arrays import pack, unpack
from litetuner.spaces.data.preparation import DataRequest, open_split, prepare_data
from litetuner.spaces.errors import ConfigError, DataError, ModelError
from litetuner.spaces.jobs.python_functions import name_of
from litetuner.spaces.models.checkpoint import read_model, write_model
from litetuner.spaces.models.keras_bridge.bridge import TOLERANCE, bridge
from litetuner.spaces.models.loading.load import load_model
from litetuner.spaces.models.outputs import chosen_output, original_outputs
from litetuner.spaces.models.signature import input_tensors, output_tensors
from litetuner.spaces.store import Store
from litetuner.spaces.tf import load, quiet_stdout
from litetuner.spaces.tflite.conversion import convert
from tests.decisions import classes_known

RNG = np.random.default_rng(0)
X = {"left": RNG.normal(size=(40, 4)).astype("f4"), "image": RNG.normal(size=(40, 6, 6, 3)).astype("f4")}
Y = {"kind": np.arange(40) % 3, "age": RNG.normal(size=40)}


@pytest.fixture(scope="module")
def two():
    """Two inputs, two outputs, one layer shared, models nested two levels deep, a dict of inputs."""
    load()
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    left, image = keras.Input((4,), name="left"), keras.Input((6, 6, 3), name="image")
    inner = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.ReLU()], name="inner")
    outer = keras.Sequential([keras.Input((6, 6, 3)), inner, layers.GlobalAveragePooling2D()], name="outer")
    shared = layers.Dense(4, activation="relu", name="shared")
    x = layers.Concatenate()([shared(left), shared(outer(image))])
    outputs = [layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, name="age")(x)]
    return keras.Model({"left": left, "image": image}, outputs, name="two")


def order(model):
    return {port.name: X[port.name] for port in input_tensors(model)}


def prepared(tmp_path, model, given, output="kind"):
    np.savez(tmp_path / "data.npz", **given)
    ports, outputs = input_tensors(model), output_tensors(model)
    chosen = chosen_output(outputs, output, True)
    known = classes_known((chosen or outputs[0]).shape)
    request = DataRequest(str(tmp_path / "data.npz"), 0, None, known, ports, outputs, chosen)
    return prepare_data(request, Store(tmp_path / "data"))


def arrays(split="train", **others):
    xs, ys = ({f"{axis}_{split}:{name}": part for name, part in side.items()} for axis, side in (("x", X), ("y", Y)))
    return xs | ys | others


def test_they_are_rebuilt_and_converted_with_their_names(two):
    packed = pack(order(two))
    copy, difference = bridge(two, packed)
    assert difference <= TOLERANCE
    ports = [port.name for port in (*input_tensors(two), *output_tensors(two))]
    assert [port.name for port in (*input_tensors(copy), *output_tensors(copy))] == ports
    read = read_model(write_model(copy))
    base, refusal, _ = rebuild(two, packed)
    assert base is not None and refusal is None
    expected = original_outputs(two, packed, output_tensors(two), None)
    for model in (two, read):
        found = predict(convert(model, lambda converter, tf: None), packed)
        for name, values in unpack(expected).items():
            assert np.abs(found[name] - values).max() < 1e-5
    kind = predict(convert(two, lambda converter, tf: None), packed, output="kind")
    assert np.array_equal(kind, found["kind"]) or np.abs(kind - found["kind"]).max() < 1e-6


def test_data_by_name_become_rows(two, tmp_path):
    facts = prepared(tmp_path, two, arrays())
    x, y = open_split(Store(tmp_path / "data"), facts.arrays, "train")
    assert x.dtype.names == ("image", "left") and facts.counts == {"train": 20, "search": 10, "test": 10}
    assert (y.dtype, facts.classes) == (np.int64, 3)
    (row,) = np.flatnonzero((X["left"] == x["left"][0]).all(axis=1))
    assert np.array_equal(X["image"][row], x["image"][0]) and Y["kind"][row] == y[0]
    assert calibration_samples(x, y, 5, 0).shape == (5,)
    whole = prepared(tmp_path, two, arrays(), output=None)
    assert (
        open_split(Store(tmp_path / "data"), whole.arrays, "search")[1].dtype.names == ("kind", "age")
        and whole.classes is None
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"x_train": X["left"], "y_train": Y["kind"]}, r"has x_train, .* Give x_train:image and x_train:left"),
        ({"x_train:left": X["left"], "y_train": Y["kind"]}, "has x_train:left, and the model has 2 inputs"),
        (arrays(**{"x_train:left": X["left"][:9]}), "x_train:left has 9 samples, y_train has 40"),
        (arrays(**{"x_train:left": X["left"][:, :3]}), r"x_train:left has samples of shape \(3,\)"),
        (arrays(**{"x_train": X["left"]}), "both x_train and x_train:"),
        (arrays(**{"x_train:left": np.full_like(X["left"], np.nan)}), "x_train:left holds"),
    ],
)
def test_data_that_do_not_fit_are_refused(two, tmp_path, given, reason):
    with pytest.raises(DataError, match=reason):
        prepared(tmp_path, two, given)


def test_the_scored_output_is_asked_for(two):
    outputs = output_tensors(two)
    with pytest.raises(ConfigError, match="--metric accuracy@kind"):
        chosen_output(outputs, None, False)
    with pytest.raises(ConfigError, match=r"no output 'kin' \(did you mean 'kind'"):
        chosen_output(outputs, "kin", False)
    metric = find_metric("accuracy@kind")
    assert (metric.name, metric.output) == ("accuracy", "kind")
    with pytest.raises(ConfigError, match="after @"):
        find_metric("accuracy@")


MODULE = """
import keras, tf_keras

class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=shape[-1:], initializer="ones", name="factor")
    def call(self, x):
        return x * self.factor

class Twin(tf_keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=shape[-1:], initializer="ones", name="factor")
    def call(self, x):
        return x * self.factor

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(2)
    def call(self, x):
        return self.head(x)

plain = {"Scale": Scale}
pair = {"Scale": (Scale, Twin)}
wrong = {"Scale": (Scale, Scale)}

def net():
    return Net()

def called():
    import numpy as np
    keras.utils.set_random_seed(0)
    net = Net()
    net(np.zeros((1, 4), "float32"))
    return net
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    load()
    import tf_keras

    def forget() -> None:
        """A twin stays known to its process, and the docs that were tested before may have one of the same name."""
        for name in ("Scale", "Twin"):
            tf_keras.utils.get_custom_objects().pop(name, None)

    forget()
    yield "mine"
    forget()


def test_custom_layers_come_by_name_and_are_trained_by_their_twins(module, tmp_path):
    import keras

    own = importlib.import_module(module)
    model = keras.Sequential([keras.Input((4,)), own.Scale(name="scale"), keras.layers.Dense(2)])
    model.layers[0].set_weights([np.arange(4.0)])
    model.save(tmp_path / "net.keras")
    path = str(tmp_path / "net.keras")
    with pytest.raises(ModelError, match=r"'scale' is a Scale(.|\n)*--custom-objects"):
        load_model(path)
    loaded = load_model(path, custom_objects="mine:plain")
    copy, refusal, _ = rebuild(loaded.model, X["left"])
    assert copy is None and "'scale' (Scale)" in refusal and "pair" in refusal
    found = predict(convert(loaded.model, lambda converter, tf: None), X["left"])
    assert np.abs(found - np.asarray(model(X["left"]))).max() < 1e-5
    twin, refusal, difference = rebuild(load_model(path, custom_objects="mine:pair").model, X["left"])
    assert refusal is None and difference <= TOLERANCE
    assert np.array_equal(np.asarray(read_model(write_model(twin))(X["left"])), np.asarray(twin(X["left"])))
    with pytest.raises(ConfigError, match="one must be a Keras 3 class"):
        load_model(path, custom_objects="mine:wrong")
    with pytest.raises(ConfigError, match="must be a dict"):
        load_model(path, custom_objects="mine:__name__")


def test_custom_layers_are_given_as_a_dict_of_classes_of_a_notebook(module, tmp_path):
    import keras

    cell: dict[str, object] = {"__name__": "__main__"}
    exec(MODULE, cell)
    pair = {"Scale": (cell["Scale"], cell["Twin"])}
    name = name_of(pair, "custom_objects")
    model = keras.Sequential([keras.Input((4,)), cell["Scale"](name="scale"), keras.layers.Dense(2)])
    model.save(tmp_path / "net.keras")
    assert name_of(pair, "custom_objects") == name, "using a class does not change its identity"
    loaded = load_model(str(tmp_path / "net.keras"), custom_objects=name)
    twin, refusal, difference = rebuild(loaded.model, X["left"])
    assert refusal is None and difference <= TOLERANCE
    assert np.array_equal(np.asarray(read_model(write_model(twin))(X["left"])), np.asarray(twin(X["left"])))
    with pytest.raises(ConfigError, match="--custom-objects: wrong: of the pair 'Scale' one must be"):
        load_model(str(tmp_path / "net.keras"), custom_objects=name_of({"Scale": (cell["Scale"],) * 2}, "wrong"))


def test_subclassed_models_are_converted_only(module):
    with pytest.raises(ModelError, match="subclassed model, and the shape of its input is not known"):
        load_model("mine:net")
    loaded = load_model("mine:called")
    assert loaded.kind == "traced" and loaded.model.count_params() == 10
    copy, refusal, _ = rebuild(loaded.model, X["left"])
    assert copy is None and "subclassed model" in refusal and "functional API" in refusal
    expected = original_outputs(loaded.model, X["left"], output_tensors(loaded.model), output_tensors(loaded.model)[0])
    assert np.abs(predict(convert(loaded.model, lambda converter, tf: None), X["left"]) - expected).max() < 1e-5


def test_a_trusted_saved_model_is_converted_only(two, tmp_path):
    folder = tmp_path / "saved"
    with quiet_stdout():
        two.export(folder, verbose=False)
    with pytest.raises(ModelError, match="--trust-model"):
        load_model(str(folder))
    loaded = load_model(str(folder), trust=True)
    assert loaded.kind == "traced"
    packed = pack(order(loaded.model))
    assert "cannot be trained: it is a SavedModel" in rebuild(loaded.model, packed)[1]
    expected = original_outputs(two, packed, output_tensors(two), None)
    found = predict(convert(loaded.model, lambda converter, tf: None), packed)
    for ours, theirs in zip(
        unpack(found).values(),
        unpack(original_outputs(loaded.model, packed, output_tensors(loaded.model), None)).values(),
        strict=True,
    ):
        assert np.abs(ours - theirs).max() < 1e-5
    assert sorted(values.shape for values in unpack(found).values()) == sorted(
        v.shape for v in unpack(expected).values()
    )


def test_a_float_tflite_is_quantized_only(two, tmp_path):
    from litetuner.spaces.errors import Refused

    content = convert(two, lambda converter, tf: None)
    (tmp_path / "two.tflite").write_bytes(content)
    loaded = load_model(str(tmp_path / "two.tflite"))
    assert (loaded.kind, convert(loaded.model, lambda converter, tf: None)) == ("tflite", content)
    assert {port.name for port in (*input_tensors(loaded.model), *output_tensors(loaded.model))} == {*X, *Y}
    packed = pack(order(loaded.model))
    expected = original_outputs(loaded.model, packed, output_tensors(loaded.model), None)
    assert np.array_equal(predict(content, packed), expected)
    assert "converted already" in rebuild(loaded.model, packed)[1]
    with pytest.raises(Refused, match="cannot be converted again"):
        convert(loaded.model, lambda converter, tf: setattr(converter, "optimizations", [1]))
    (tmp_path / "broken.tflite").write_bytes(b"no file")
    with pytest.raises(ModelError, match="not a TensorFlow Lite file"):
        load_model(str(tmp_path / "broken.tflite"))
