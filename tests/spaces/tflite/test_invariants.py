"""Promises are judged by the stored values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from litetuner.spaces.tflite.invariants import Finding, Invariant, distinct_per_channel, verify_invariants, zeros
from litetuner.spaces.tflite.weights import Weight, weights_by_layer


def weight(values: np.ndarray, dtype: str = "int8", zero_point: tuple[int, ...] = (0,), axis: int = 0) -> Weight:
    return Weight(
        tensor_index=1,
        values=values,
        dtype=dtype,
        scale=np.ones(len(zero_point), np.float32),
        zero_point=np.array(zero_point, np.int64),
        channel_axis=axis,
        operator="FULLY_CONNECTED",
        operator_index=0,
    )


def check(promise: Invariant, given: Weight) -> Finding:
    (finding,) = verify_invariants([promise], {promise.layer: given})
    return finding


@pytest.mark.parametrize(("zero_count", "ok"), [(70, True), (69, True), (68, False), (99, True), (100, False)])
def test_sparsity_allows_one_weight_of_rounding(zero_count: int, ok: bool) -> None:
    values = np.ones(100, np.int8)
    values[:zero_count] = 0
    finding = check(Invariant("a", "sparsity", 0.7), weight(values.reshape(10, 10)))
    assert (finding.verified, finding.ok) == (zero_count / 100, ok)


def test_a_kernel_of_nothing_but_zeros_breaks_its_promise() -> None:
    """tfmot issue 979. Of so few weights that none need be left, all may be zero."""
    empty = weight(np.zeros((8, 8), np.int8))
    for name, asked in (("sparsity", 0.5), ("clusters", 8), ("tensor_clusters", 8)):
        assert not check(Invariant("a", name, asked), empty).ok
    assert check(Invariant("a", "sparsity", 0.9), weight(np.zeros((3, 3), np.int8))).ok


def test_zero_means_the_zero_point() -> None:
    values = np.array([[3, 3, 0], [5, 0, 5]], np.int8)
    np.testing.assert_array_equal(zeros(weight(values, zero_point=(3,))), values == 3)
    np.testing.assert_array_equal(zeros(weight(values, zero_point=(3, 5))), [[True, True, False], [True, False, True]])
    by_column = weight(values, zero_point=(3, 0, 5), axis=1)
    np.testing.assert_array_equal(zeros(by_column), [[True, False, False], [False, True, True]])


def test_clusters_are_counted_by_channel() -> None:
    values = np.arange(32, dtype=np.int8).reshape(4, 8) // 4  # two values a row, eight in all
    assert distinct_per_channel(weight(values)) == 2
    assert distinct_per_channel(weight(values, axis=1)) == 4
    assert check(Invariant("a", "clusters", 2), weight(values)).ok
    broken = check(Invariant("a", "clusters", 1), weight(values))
    assert not broken.ok and broken.verified == 2


def test_values_are_counted_by_tensor_where_it_has_one_scale() -> None:
    values = np.arange(32, dtype=np.int8).reshape(4, 8) // 4
    assert check(Invariant("a", "tensor_clusters", 8), weight(values)).verified == 8
    assert not check(Invariant("a", "tensor_clusters", 7), weight(values)).ok
    assert check(Invariant("a", "tensor_clusters", 2), weight(values, zero_point=(0,) * 4)).verified == 2


def test_values_of_float16_are_counted_right_on_every_processor() -> None:
    """Many weights near zero, as after training: NumPy 2.4 sorts such arrays wrongly where it uses AVX512-FP16."""
    for seed in range(10):
        values = (np.rint(2 * np.random.default_rng(seed).normal(size=9216)) / 8).astype(np.float16)
        known = len(set(values.tolist()))
        given = weight(values.reshape(16, -1), "float16")
        assert check(Invariant("a", "tensor_clusters", known), given).verified == known
        assert distinct_per_channel(given) == max(len(set(row.tolist())) for row in given.values)


def test_zeros_of_all_layers_together() -> None:
    held = {"a": weight(np.zeros((10, 10), np.int8)), "b": weight(np.ones((10, 10), np.int8))}
    for asked, ok in ((0.5, True), (0.51, True), (0.52, False)):  # a weight of each layer is allowed
        (finding,) = verify_invariants([Invariant("both", "sparsity_of_all", asked, ("a", "b"))], held)
        assert (finding.verified, finding.ok) == (0.5, ok)
    (finding,) = verify_invariants([Invariant("both", "sparsity_of_all", 0.1, ("a", "gone"))], held)
    assert finding == Finding("both", "sparsity_of_all", 0.1, None, False)


def test_types_and_shapes() -> None:
    given = dataclasses.replace(weight(np.zeros((8, 3, 3, 4), np.int8)), activation_dtype="int8")
    assert check(Invariant("a", "activation_type", "int8"), given).ok
    assert check(Invariant("a", "activation_type", "float32"), given).verified == "int8"
    assert check(Invariant("a", "shape", "3x3x4x8"), given).ok
    assert not check(Invariant("a", "shape", "3x3x4x16"), given).ok


def test_a_layer_that_is_not_found_breaks_its_promise() -> None:
    invariants = [Invariant("gone", "sparsity", 0.5), Invariant("gone", "weight_type", "int8")]
    findings = verify_invariants(invariants, {})
    assert [(finding.verified, finding.ok) for finding in findings] == [(None, False), (None, False)]


def test_unknown_properties_are_refused() -> None:
    with pytest.raises(ValueError, match="sparsity, clusters, tensor_clusters, weight_type"):
        Invariant("a", "colour", 1)


@pytest.mark.parametrize(("mode", "dtype"), [("float32", "float32"), ("float16", "float16"), ("int8", "int8")])
def test_real_files(tflite: Callable[..., bytes], layer_names: dict[str, list[str]], mode: str, dtype: str) -> None:
    """Four fifths of the kernels' weights are zero, drawn at random; batch-norm folding and quantization keep them."""
    found = weights_by_layer(tflite("zeros", mode), layer_names["zeros"])
    invariants = [Invariant(layer, "sparsity", 0.6) for layer in found]
    invariants += [Invariant(layer, "weight_type", dtype) for layer in found]
    findings = verify_invariants(invariants, found)
    assert len(findings) == 10 and all(finding.ok for finding in findings)
    json.dumps([dataclasses.asdict(finding) for finding in findings])
    dense = weights_by_layer(tflite("plain", mode), layer_names["plain"])
    assert not verify_invariants([Invariant("dense", "sparsity", 0.6)], dense)[0].ok
    assert not verify_invariants([Invariant("dense", "weight_type", "int4")], dense)[0].ok
