"""Promises are judged by the stored values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from litetuner.spaces.flatbuffer import Weight, weights_by_layer
from litetuner.spaces.invariants import Finding, Promise, check_promises, distinct_per_channel, zeros


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


def check(promise: Promise, given: Weight) -> Finding:
    (finding,) = check_promises([promise], {promise.layer: given})
    return finding


@pytest.mark.parametrize(("zero_count", "ok"), [(70, True), (69, True), (68, False), (100, True)])
def test_sparsity_allows_one_weight_of_rounding(zero_count: int, ok: bool) -> None:
    values = np.ones(100, np.int8)
    values[:zero_count] = 0
    finding = check(Promise("a", "sparsity", 0.7), weight(values.reshape(10, 10)))
    assert (finding.found, finding.ok) == (zero_count / 100, ok)


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
    assert check(Promise("a", "clusters", 2), weight(values)).ok
    broken = check(Promise("a", "clusters", 1), weight(values))
    assert not broken.ok and broken.found == 2


def test_pattern_looks_at_blocks_of_the_last_axis() -> None:
    good = np.array([[1, 0, 0, 2, 3, 0, 0], [0, 0, 1, 1, 0, 1, 1]], np.float32)  # the last block is short
    assert check(Promise("a", "pattern", "2:4"), weight(good, "float32")).ok
    bad = good.copy()
    bad[0, 1] = 1
    assert check(Promise("a", "pattern", "2:4"), weight(bad, "float32")) == Finding("a", "pattern", "2:4", "1:4", False)


def test_a_layer_that_is_not_found_breaks_its_promise() -> None:
    promises = [Promise("gone", "sparsity", 0.5), Promise("gone", "weight_type", "int8")]
    findings = check_promises(promises, {})
    assert [(finding.found, finding.ok) for finding in findings] == [(None, False), (None, False)]


def test_unknown_properties_are_refused() -> None:
    with pytest.raises(ValueError, match="sparsity, clusters, pattern, weight_type"):
        Promise("a", "colour", 1)


@pytest.mark.parametrize(("mode", "dtype"), [("float32", "float32"), ("float16", "float16"), ("int8", "int8")])
def test_real_files(tflite: Callable[..., bytes], layer_names: dict[str, list[str]], mode: str, dtype: str) -> None:
    """Four fifths of the kernels' weights are zero, drawn at random; batch-norm folding and quantization keep them."""
    found = weights_by_layer(tflite("zeros", mode), layer_names["zeros"])
    promises = [Promise(layer, "sparsity", 0.6) for layer in found]
    promises += [Promise(layer, "weight_type", dtype) for layer in found]
    findings = check_promises(promises, found)
    assert len(findings) == 10 and all(finding.ok for finding in findings)
    json.dumps([dataclasses.asdict(finding) for finding in findings])
    dense = weights_by_layer(tflite("plain", mode), layer_names["plain"])
    assert not check_promises([Promise("dense", "sparsity", 0.6)], dense)[0].ok
    assert not check_promises([Promise("dense", "weight_type", "int4")], dense)[0].ok
