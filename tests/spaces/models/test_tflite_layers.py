"""A float .tflite as the model: read, named, quantized by every recipe, and refused where it is quantized already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import ModelError, Refused
from litetuner.spaces.models.inspection import model_info
from litetuner.spaces.models.loading.load import load_model
from litetuner.spaces.models.signature import predict
from litetuner.spaces.rules import SpaceConstraints, broken_rules
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.steps.float16 import Float16
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.tflite.rewriting.slimming import slim
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import pack_model, read_model
from litetuner.spaces.tflite.weights import weights_by_layer

X = np.random.default_rng(2).normal(size=(24, 8, 8, 3)).astype(np.float32)
CONTEXT = Context(X[:0], np.zeros(0), X, "mse", 1, 0)


@pytest.fixture(scope="module")
def network() -> Any:
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = tf_keras.layers
    source = layers.Input((8, 8, 3), name="image")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, name="stem")(source)))
    x = layers.DepthwiseConv2D(3, activation="relu", name="deep")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return tf_keras.Model(source, layers.Dense(4, activation="softmax", name="head")(x))


@pytest.fixture(scope="module")
def path(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("tflite") / "net.tflite"
    where.write_bytes(Float32().apply(network, CONTEXT))
    return where


def test_it_is_the_users_file(path: Path, network: Any) -> None:
    loaded = load_model(str(path))
    assert (loaded.kind, loaded.name) == ("tflite", "net")
    assert Float32().apply(loaded.model, CONTEXT) == path.read_bytes()
    (found,) = predict(loaded.model, [X])
    assert np.abs(found - network(X).numpy()).max() < 1e-5  # float32 rounding


@pytest.mark.parametrize("what", ["a name", "metadata"])
def test_a_damaged_file_that_the_runtime_runs_is_refused(path: Path, tmp_path: Path, what: str) -> None:
    model = read_model(path.read_bytes())
    if what == "a name":
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].name = b"\xfb\xff"  # not UTF-8
    else:
        model.metadata[0].buffer = 3_735_568
    damaged = tmp_path / "net.tflite"
    damaged.write_bytes(pack_model(model))
    with pytest.raises(ModelError, match=r"does not load it|truncated or damaged") as caught:
        load_model(str(damaged))
    assert str(damaged) in str(caught.value)


def test_facts_name_operators_by_their_tensors(path: Path) -> None:
    loaded = load_model(str(path))
    facts = model_info(loaded, None, "it is a .tflite", None)
    assert [layer.macs for layer in facts.layers] == [36 * 8 * 27, 16 * 8 * 9, 8 * 4]
    assert facts.source == "tflite" and facts.output_activation == "softmax"
    assert [layer.type for layer in facts.layers] == ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]
    assert (
        sum(layer.parameters for layer in facts.layers) == 8 * 27 + 8 + 8 * 9 + 8 + 8 * 4
    )  # the zero bias of the head is not in the file
    assert facts.input_shape == (None, 8, 8, 3) and facts.output_shape == (None, 4)
    names = [layer.name for layer in facts.layers]
    assert len(set(names)) == 3 and set(weights_by_layer(path.read_bytes(), names)) == set(names)
    assert [layer.can("int4") for layer in facts.layers] == [True, False, True]
    assert not any(layer.can("prune") for layer in facts.layers)
    assert "only post-training techniques" in loaded.model.why


def test_the_space_holds_post_training_techniques_only(path: Path) -> None:
    facts = model_info(load_model(str(path)), None, "it is a .tflite", None)
    around = SpaceConstraints(facts, True)
    space = Space(around, ranking=tuple(layer.name for layer in facts.layers))
    options = space.deployments()
    assert {"float32", "ptq_weight_only_wf16", "ptq_dynamic_wi8", "ptq_static_wi8_ai8", "mixed", "layers"} <= set(
        options
    )
    assert not {"int8", "float16", "dynamic", "int16x8"} & set(options)
    loaded = load_model(str(path))
    for name in options:
        candidate = space.suggest(
            ScriptedChoices({"deploy": name, "train": "yes", "qat": "all", "rounding": "mse_tensor"})
        )
        assert not candidate.prefix.steps and not broken_rules(candidate, around)
        subject: Any = loaded.model
        for step in candidate.steps:
            subject = step.apply(subject, CONTEXT)
        assert len(run(subject, X[:2]).values) == 2
    for step in (Float16(), Int8()):
        assert "is a .tflite already" in broken_rules(Candidate((step,)), around)[0]
        with pytest.raises(Refused, match="cannot be converted again"):
            step.apply(loaded.model, CONTEXT)


@pytest.mark.parametrize("recipe", ["static_wi8_ai8", "dynamic_wi8", "weight_only_wi8"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_precision_by_operator(path: Path, recipe: str, place: int) -> None:
    names = [layer.name for layer in model_info(load_model(str(path)), None, "no", None).layers]
    file = Ptq(recipe, ((names[place], "float32"),)).apply(path.read_bytes(), CONTEXT)
    found = {name: weight.dtype for name, weight in weights_by_layer(file, names).items()}
    assert found == dict.fromkeys(names, "int8") | {names[place]: "float32"}


def test_a_file_without_names_and_signature_gets_some(path: Path, tmp_path: Path) -> None:
    model = read_model(slim(path.read_bytes(), X[:2]).file)
    model.signatureDefs = None
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(pack_model(model))
    loaded = load_model(str(bare)).model
    assert np.array_equal(predict(loaded, [X[:4]])[0], predict(load_model(str(path)).model, [X[:4]])[0])
    names = [layer.name for layer in model_info(load_model(str(bare)), None, "no", None).layers]
    assert len(set(names)) == 3
    file = Ptq("static_wi8_ai8", ((names[0], "int4"),)).apply(Float32().apply(loaded, CONTEXT), CONTEXT)
    assert weights_by_layer(file, names)[names[0]].dtype == "int4"


@pytest.mark.parametrize("steps", [(Float16(),), (Int8(),), (Float32(), Ptq("weight_only_wi8"))])
def test_quantized_files_are_refused(steps: tuple[Any, ...], network: Any, tmp_path: Path) -> None:
    subject = network
    for step in steps:
        subject = step.apply(subject, CONTEXT)
    where = tmp_path / "small.tflite"
    where.write_bytes(subject)
    with pytest.raises(ModelError, match=r"quantized already.*Keras model"):
        load_model(str(where))


def test_torn_files_are_refused(path: Path, tmp_path: Path) -> None:
    where = tmp_path / "torn.tflite"
    where.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"torn\.tflite"):
        load_model(str(where))


@pytest.fixture(scope="module")
def shared_names(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converters join the names of what they fuse and of constants that operators share, in any order."""
    model = read_model(path.read_bytes())
    graph = model.subgraphs[0]
    for operator, name in zip(graph.operators[:2], "ab", strict=True):
        graph.tensors[operator.outputs[0]].name = f"net/{name}/Relu;net/zeros/ReadVariableOp".encode()
    where = tmp_path_factory.mktemp("shared") / "net.tflite"
    where.write_bytes(pack_model(model))
    return where


@pytest.mark.parametrize("place", [0, 1, 2])
def test_operators_that_share_a_name_are_layers_of_their_own(shared_names: Path, place: int) -> None:
    loaded = load_model(str(shared_names))
    names = [layer.name for layer in model_info(loaded, None, "no", None).layers]
    assert len(set(names)) == 3
    float_file = Float32().apply(loaded.model, CONTEXT)
    assert len({weight.operator_index for weight in weights_by_layer(float_file, names).values()}) == 3
    file = Ptq("static_wi8_ai8", ((names[place], "float32"),)).apply(float_file, CONTEXT)
    found = {name: weight.dtype for name, weight in weights_by_layer(file, names).items()}
    assert found == dict.fromkeys(names, "int8") | {names[place]: "float32"}


def test_the_layers_of_a_saved_model_are_its_operators(network: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    serve = tf.function(lambda image: {"classes": network(image)}, input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=serve.get_concrete_function())
    loaded = load_model(str(tmp_path / "saved"), trust=True)
    facts = model_info(loaded, None, "it is a SavedModel", None)
    assert [layer.type for layer in facts.layers] == ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]
    assert facts.output_activation == "softmax" and not any(layer.can("prune") for layer in facts.layers)
    names = [layer.name for layer in facts.layers]
    options = Space(SpaceConstraints(facts, True), ranking=tuple(names)).deployments()
    assert {"mixed", "layers", "int8", "ptq_dynamic_wi8"} <= set(options)
    float_file = Float32().apply(loaded.model, CONTEXT)
    for name in names:
        file = Ptq("static_wi8_ai8", ((name, "float32"),)).apply(float_file, CONTEXT)
        found = {layer: weight.dtype for layer, weight in weights_by_layer(file, names).items()}
        assert found == dict.fromkeys(names, "int8") | {name: "float32"}
    kernels = {layer.name: layer.kernel_shape for layer in facts.layers}
    for step, kind in ((Int8(), "int8"), (Float16(), "float16")):  # whatever layers are found there have this type
        found = {
            layer: weight.dtype
            for layer, weight in weights_by_layer(step.apply(loaded.model, CONTEXT), names, kernels).items()
        }
        assert set(found.values()) <= {kind}
