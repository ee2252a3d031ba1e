"""Quantization-aware training: accuracy and invariants in the converted file, restoring from weights, and refusals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.quantization.qat_scheme import refusals
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.steps.qat import Qat
from litetuner.spaces.tflite.invariants import Invariant, distinct_per_channel, verify_invariants, zeros
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.weights import weights_by_layer

from .conftest import LAYERS, PRUNABLE, digits_network, run, weights_equal


@pytest.fixture(scope="module")
def clustered(pruned: Any, context: Context) -> Any:
    """Half of each kernel zero and 8 values."""
    return Cluster(count=8, preserve_sparsity=True, epochs=0.5, learning_rate=1e-3).apply(pruned, context)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a step made of a model, and the converted file."""

    step: Qat
    parent: Any
    model: Any
    file: bytes

    @classmethod
    def by(cls, step: Qat, parent: Any, context: Context) -> Trained:
        trained = step.apply(parent, context)
        return cls(step, parent, trained, Int8().apply(trained, context))


@pytest.fixture(scope="module")
def plain(model: Any, context: Context) -> Trained:
    before = model.get_weights()
    found = Trained.by(Qat(epochs=1, learning_rate=1e-3), model, context)
    assert weights_equal(before, model.get_weights())
    return found


@pytest.fixture(scope="module")
def pcqat(clustered: Any, context: Context) -> Trained:
    step = Qat(preserve_sparsity=True, preserve_clusters=True, epochs=0.5, learning_rate=3e-3)
    return Trained.by(step, clustered, context)


def test_plain(plain: Trained, accuracy: Callable[[Any], float]) -> None:
    assert accuracy(plain.file) > accuracy(plain.parent) - 0.02
    assert {weight.dtype for weight in weights_by_layer(plain.file, LAYERS).values()} == {"int8"}


@pytest.mark.parametrize("skip", [(), ("pointwise",)])
def test_zeros_reach_the_file(
    pruned: Any, context: Context, skip: tuple[str, ...], accuracy: Callable[[Any], float]
) -> None:
    """Also in a skipped layer, where tfmot's scheme does nothing."""
    step = Qat(skip=skip, preserve_sparsity=True, epochs=0.5, learning_rate=1e-3)
    file = Int8().apply(step.apply(pruned, context), context)
    weights = weights_by_layer(file, LAYERS)
    assert min(zeros(weights[name]).mean() for name in PRUNABLE) >= 0.5
    assert accuracy(file) > accuracy(pruned) - 0.03


def test_zeros_and_clusters_reach_the_file(pcqat: Trained) -> None:
    weights = weights_by_layer(pcqat.file, LAYERS)
    for name in PRUNABLE:
        assert zeros(weights[name]).mean() >= 0.5
        assert distinct_per_channel(weights[name]) <= 8


def test_one_layer_without_zeros_does_not_cost_the_others_theirs(clustered: Any, context: Context) -> None:
    """tfmot shares one quantizer between all layers, and it stops keeping zeros at the first layer that has none."""
    dense = clone(clustered)
    stem = dense.get_layer("stem")
    stem.kernel.assign(np.where(stem.kernel.numpy() == 0, np.float32(0.01), stem.kernel.numpy()))
    step = Qat(preserve_sparsity=True, preserve_clusters=True, epochs=0.5, learning_rate=3e-3)
    weights = weights_by_layer(Int8().apply(step.apply(dense, context), context), LAYERS)
    assert min(zeros(weights[name]).mean() for name in ("pointwise", "classes")) >= 0.5


def test_zeros_survive_a_relu_layer_behind_a_convolution(context: Context) -> None:
    """There tfmot turns the convolution's weight quantizer off, and with it the keeping of zeros."""
    import tf_keras

    layers = tf_keras.layers
    source = layers.Input((8, 8, 1))
    x = layers.ReLU()(layers.Conv2D(8, 3, name="bare")(source))
    network = tf_keras.Model(source, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))
    bare = network.get_layer("bare")
    bare.kernel.assign(np.where(np.indices((3, 3, 1, 8)).sum(0) % 2, 0, bare.kernel.numpy()))
    trained = Qat(preserve_sparsity=True, epochs=0.3, learning_rate=1e-2).apply(network, context)
    assert (zeros(weights_by_layer(Int8().apply(trained, context), ["bare"])["bare"])).mean() >= 0.5


@pytest.mark.parametrize("kind", ["plain", "pcqat"])
def test_a_checkpoint_is_the_parent_and_the_weights(
    kind: str, context: Context, request: pytest.FixtureRequest
) -> None:
    found: Trained = request.getfixturevalue(kind)
    restored = found.step.wrap(found.parent, context)
    restored.set_weights(found.model.get_weights())
    x = context.x_train[:32]
    assert np.array_equal(found.model(x).numpy(), restored(x).numpy())
    assert found.file == Int8().apply(restored, context)


def test_ranges_start_from_real_inputs(model: Any, context: Context) -> None:
    """Logits above 6 would be clipped by tfmot's first guess; no training here can move its moving averages."""
    loud = clone(model)
    kernel, bias = loud.get_layer("classes").get_weights()
    loud.get_layer("classes").set_weights([kernel * 5, bias * 5])
    still = dataclasses.replace(context, x_train=context.x_train[:32], y_train=context.y_train[:32])
    trained = Qat(epochs=1, learning_rate=0.0).apply(loud, still)
    x = context.x_train[:256]
    assert np.abs(trained(x).numpy() - loud(x).numpy()).mean() < 0.02
    assert (run(Int8().apply(trained, context), x).argmax(-1) == loud(x).numpy().argmax(-1)).mean() > 0.95


def test_a_probe_is_the_model_unchanged(model: Any, probe: Context) -> None:
    copy = Qat().apply(model, probe)
    assert [type(layer) for layer in copy.layers] == [type(layer) for layer in model.layers]
    assert weights_equal(copy.get_weights(), model.get_weights())


def test_labels_and_details() -> None:
    assert (Qat().label(), Qat().label_with("int8")) == ("QAT", "QAT int8")
    assert Qat(skip=("a",)).details() == ["qat: a is trained in float, and quantized afterwards"]
    assert Qat(skip=("a",), int4_layers=("b",)).invariants(["a", "b", "c"]) == [
        ("b", "weight_type", "int4"),
        ("c", "weight_type", "int8"),
        ("b", "activation_type", "int8"),
        ("c", "activation_type", "int8"),
    ]


def test_unsupported_layers_are_named_unless_skipped(context: Context) -> None:
    import tf_keras

    layers = tf_keras.layers
    source = layers.Input((8, 8, 1))
    x = layers.BatchNormalization(name="alone")(source)
    x = layers.Conv1D(4, 3, activation="relu", name="conv1d")(layers.Reshape((8, 8))(x))
    x = layers.Dense(8, activation="elu", name="elu")(layers.Flatten()(x))
    network = tf_keras.Model(source, layers.Dense(10, activation="softmax")(x))
    found = refusals(network)
    assert list(found) == ["alone", "conv1d", "elu"]
    assert "Conv1D" in found["conv1d"]
    with pytest.raises(Refused, match="'alone' cannot be quantized"):
        Qat().apply(network, context)
    skipping = Qat(skip=tuple(found), epochs=0.01)
    assert Int8().apply(skipping.apply(network, context), context)


def test_nothing_left_and_unknown_layers_are_refused(probe: Context) -> None:
    network = digits_network()
    with pytest.raises(Refused, match="every layer is skipped"):
        Qat(skip=tuple(layer.name for layer in network.layers[1:])).apply(network, probe)
    with pytest.raises(Refused, match="did you mean 'stem'"):
        Qat(skip=("stm",)).apply(network, probe)
    assert refusals(network) == {}


def test_pcqat_leaves_no_kernel_of_zeros(pcqat: Trained) -> None:
    """tfmot issue 979: 1x1 kernels became all zeros."""
    pointwise = weights_by_layer(pcqat.file, LAYERS)["pointwise"]
    assert pointwise.values.shape[1:3] == (1, 1)
    assert 0.5 <= zeros(pointwise).mean() < 0.75


@pytest.mark.parametrize("left", LAYERS)
def test_selective_training_rounds_what_it_says(model: Any, context: Context, left: str) -> None:
    """tfmot issue 523: the wrong nodes were quantized. Those that are have ranges for their weights."""
    wrapped = Qat(skip=(left,)).wrap(model, context)
    ranged = {layer.name.removeprefix("quant_") for layer in wrapped.layers if _has_weight_range(layer)}
    assert ranged == set(LAYERS) - {left}


def _has_weight_range(layer: Any) -> bool:
    return any("kernel_min" in variable.name for variable in layer.weights)


def _net(kind: str) -> Any:
    """Networks that tfmot accepts, and that were seen to be left float or unrounded in part."""
    import tf_keras

    layers = tf_keras.layers
    flat = kind == "dense of three axes"
    source = layers.Input((6, 5) if flat else (8, 8, 1))
    if kind == "dilated":
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, dilation_rate=2, name="kernel")(source)))
    elif flat:
        x = layers.Dense(8, activation="relu", name="kernel")(source)
    elif kind == "swish":
        x = layers.Conv2D(4, 3, activation="swish", name="kernel")(source)
    elif kind == "transposed":
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(4, 3, name="kernel")(source)))
    else:
        x = layers.ReLU()(layers.Conv2D(4, 3, name="kernel")(source))
    return tf_keras.Model(source, layers.Dense(10, activation="softmax", name="classes")(layers.Flatten()(x)))


@pytest.mark.parametrize("kind", ["dilated", "dense of three axes", "swish", "transposed", "relu"])
def test_nothing_is_left_float(kind: str, context: Context) -> None:
    """Every operator computes on integers; what could not be trained for it is quantized by the conversion, and named."""
    network = _net(kind)
    if network.input_shape[1:] != (8, 8, 1):
        x = np.random.default_rng(0).normal(size=(64, *network.input_shape[1:])).astype(np.float32)
        context = dataclasses.replace(context, x_train=x, y_train=context.y_train[:64], calibration=x)
    skip = tuple(refusals(network))
    assert bool(skip) == (kind == "transposed")
    step = Qat(skip=skip, epochs=0.05)
    wrapped = step.wrap(network, context)
    assert any(_has_weight_range(layer) for layer in wrapped.layers if layer.name == "quant_kernel")
    file = Int8().apply(step.apply(network, context), context)
    inner = read_operators(file)[1:-1]
    assert {operator.activation_dtype for operator in inner if operator.name not in ("QUANTIZE", "DEQUANTIZE")} == {
        "int8"
    }
    invariants = [Invariant(*promise) for promise in step.invariants(["kernel", "classes"])]
    assert all(finding.ok for finding in verify_invariants(invariants, weights_by_layer(file, ["kernel", "classes"])))


def test_four_bits_are_exported_exactly(pruned: Any, context: Context, accuracy: Callable[[Any], float]) -> None:
    """The file's int4 times its scales are the weights that were trained, to float32; zeros are kept."""
    small = ("pointwise", "classes")
    step = Qat(int4_layers=small, preserve_sparsity=True, epochs=1, learning_rate=2e-3)
    trained = step.apply(pruned, context)
    restored = step.wrap(pruned, context)
    restored.set_weights(trained.get_weights())
    layers = tuple((name, "int4") for name in small)
    file = Ptq("static_wi8_ai8", layers).apply(Float32().apply(restored, context), context)
    weights = weights_by_layer(file, LAYERS)
    assert {name: weight.dtype for name, weight in weights.items()} == dict.fromkeys(LAYERS, "int8") | dict(layers)
    for name in small:
        kernel, found = trained.get_layer(name).get_weights()[0], weights[name]
        scale = found.scale.reshape(-1, *[1] * (found.values.ndim - 1))
        np.testing.assert_allclose(np.moveaxis(found.values * scale, 0, -1), kernel, atol=1e-6)
    invariants = [Invariant(*promise) for promise in step.invariants(LAYERS)]
    assert all(finding.ok for finding in verify_invariants(invariants, weights))
    assert min(zeros(weights[name]).mean() for name in PRUNABLE) >= 0.5
    assert accuracy(file) > accuracy(pruned) - 0.05


def test_one_scale_a_tensor_keeps_clusters_a_tensor(model: Any, context: Context) -> None:
    clusters = Cluster(count=8, fold=True, epochs=0.5, learning_rate=1e-3)
    step = Qat(scales="tensor", preserve_clusters=True, epochs=0.3, learning_rate=1e-3)
    file = Int8().apply(step.apply(clusters.apply(model, context), context), context)
    weights = weights_by_layer(file, LAYERS)
    assert {weight.scale.size for weight in weights.values()} == {1}
    invariants = [Invariant(*promise) for promise in clusters.invariants(PRUNABLE)]
    assert [promise.property for promise in invariants] == ["tensor_clusters"] * 3
    assert all(finding.ok for finding in verify_invariants(invariants, weights))


def test_labels_of_grids() -> None:
    assert Qat(scales="tensor").label_with("int8") == "QAT int8 per-tensor"
    with pytest.raises(Refused, match="exclude each other"):
        Qat(int4_layers=("a",), preserve_clusters=True)
    with pytest.raises(Refused, match="skipped and trained"):
        Qat(int4_layers=("a",), skip=("a",))
    with pytest.raises(Refused, match="did you mean 'tensor'"):
        Qat(scales="tensors")
