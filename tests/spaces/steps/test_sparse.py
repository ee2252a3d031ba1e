"""Sparse encoding keeps the outputs, or fails."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.steps.sparse import TOLERANCE, Sparse
from litetuner.spaces.tflite.invariants import Invariant, verify_invariants
from litetuner.spaces.tflite.rewriting.slimming import slim
from litetuner.spaces.tflite.running import Outputs, run
from litetuner.spaces.tflite.weights import weights_by_layer


@pytest.fixture(scope="module")
def context(samples: np.ndarray) -> Context:
    return Context(x_train=samples[:0], y_train=samples[:0], calibration=samples, loss="mse", batch_size=8, seed=0)


def test_a_pruned_float_file_gets_smaller_and_computes_the_same(
    tflite: Callable[..., bytes], context: Context, layer_names: dict[str, list[str]]
) -> None:
    file = tflite("zeros", "float32")
    encoded = Sparse().apply(file, context)
    assert len(encoded) < 0.6 * len(file)
    assert len(zlib.compress(encoded, 9)) < len(zlib.compress(file, 9))
    assert run(file, context.calibration).difference(run(encoded, context.calibration)) <= TOLERANCE
    dense = weights_by_layer(file, layer_names["zeros"])
    decoded = weights_by_layer(encoded, layer_names["zeros"])
    assert decoded.keys() == dense.keys()
    for layer, weight in dense.items():
        np.testing.assert_array_equal(decoded[layer].values, weight.values)
        assert decoded[layer].channel_axis == weight.channel_axis
    invariants = [Invariant(layer, "sparsity", 0.6) for layer in dense]
    assert all(finding.ok for finding in verify_invariants(invariants, decoded))
    slimmed = slim(encoded, context.calibration)
    assert slimmed.applied and len(slimmed.file) < len(encoded)


def test_a_dense_file_is_refused(tflite: Callable[..., bytes], context: Context) -> None:
    with pytest.raises(BuildFailed, match="enough zeros"):
        Sparse().apply(tflite("plain", "float32"), context)


def test_a_quantized_file_passes_only_when_it_computes_the_same(tflite: Callable[..., bytes], context: Context) -> None:
    """Dynamic range no longer runs (seen with TensorFlow 2.21); full int8 depends on the model."""
    with pytest.raises(BuildFailed, match="sparse: the encoded file"):
        Sparse().apply(tflite("zeros", "dynamic"), context)
    try:
        encoded = Sparse().apply(tflite("zeros", "int8"), context)
    except BuildFailed as error:
        assert "sparse: the encoded file" in str(error)
    else:
        expected = run(tflite("zeros", "int8"), context.calibration)
        assert expected.difference(run(encoded, context.calibration)) <= TOLERANCE


@pytest.mark.parametrize("recipe", ["weight_only_wi8", "weight_only_wf16"])
def test_what_computes_in_float_can_be_encoded(
    recipe: str, tflite: Callable[..., bytes], context: Context, layer_names: dict[str, list[str]]
) -> None:
    from litetuner.spaces.steps.ptq import Ptq

    file = Ptq(recipe).apply(tflite("zeros", "float32"), context)
    try:
        encoded = Sparse().apply(file, context)
    except BuildFailed as error:
        assert "sparse: the encoded file" in str(error)  # a lottery with int8 weights: other outputs, or larger
        assert recipe == "weight_only_wi8"
        return
    assert len(encoded) < len(file)
    assert run(file, context.calibration).difference(run(encoded, context.calibration)) <= TOLERANCE
    dense, decoded = (weights_by_layer(each, layer_names["zeros"]) for each in (file, encoded))
    assert decoded.keys() == dense.keys()
    for layer, weight in dense.items():
        assert decoded[layer].dtype == weight.dtype == ("int8" if recipe == "weight_only_wi8" else "float16")
        np.testing.assert_array_equal(decoded[layer].values, weight.values)


def test_a_file_that_would_grow_is_refused(
    tflite: Callable[..., bytes], context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    converter = importlib.import_module("tensorflow.lite.python.convert")
    honest = converter.mlir_sparsify
    monkeypatch.setattr(converter, "mlir_sparsify", lambda file: honest(file) + bytes(len(file)))
    with pytest.raises(BuildFailed, match="would have"):
        Sparse().apply(tflite("zeros", "float32"), context)


def test_difference_is_a_share_of_the_largest_output() -> None:
    ours = Outputs((np.array([1.0, 100.0]),), ())
    assert ours.difference(Outputs((np.array([2.0, 100.0]),), ())) == 0.01
    assert ours.difference(ours) == 0.0
    assert ours.difference(Outputs((np.array([np.nan, 100.0]),), ())) == float("inf")
    assert ours.difference(Outputs((np.array([1.0]),), ())) == float("inf")


def test_the_label() -> None:
    assert Sparse().label() == "sparse"
