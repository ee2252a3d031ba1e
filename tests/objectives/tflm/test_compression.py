"""Look-up tables for clustered weights: found by the values, equal under the interpreter, or not applied."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from litetuner.objectives.tflm.agreement import FilePorts, compare_outputs
from litetuner.objectives.tflm.compression import Table, compress, find_tables, flash_of
from litetuner.objectives.tflm.interpreter import installed
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import pack_model, read_model
from tests.objectives.micro_files import INT8

pytestmark = pytest.mark.skipif(not installed(), reason="the extra tflm is not installed")
X = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)


def few_values() -> bytes:
    """The tiny file with 7 values in its dense kernel (4, 288), 34 apart."""
    model = read_model(INT8)
    (dense,) = (op for op in operators_of(model) if op.name == "FULLY_CONNECTED")
    buffer = model.buffers[model.subgraphs[0].tensors[dense.weight_index].buffer]
    values = np.asarray(buffer.data).view(np.int8)
    buffer.data = np.clip(np.round(values / 34) * 34, -102, 102).astype(np.int8).view(np.uint8)
    return pack_model(model)


@pytest.fixture(scope="module")
def clustered() -> bytes:
    return few_values()


def test_tables_follow_the_values_and_the_quantization(clustered: bytes) -> None:
    assert find_tables(INT8) == (), "its weights have too many values"
    (table,) = find_tables(clustered)
    assert table.bits == 3 and table.plain_bytes == 4 * 288
    assert table.axis == 0, "it is quantized by channel"
    assert table.table_bytes == 4 * 288 * 3 // 8 + 16 + 4 * 7


def test_the_compressed_file_is_smaller_and_gives_the_same_outputs(clustered: bytes) -> None:
    found = flash_of(clustered, FilePorts(clustered).raw_inputs(X))
    assert found.reason == "" and found.file is not None
    assert found.size == len(found.file) < len(clustered) - 300
    assert found.samples == 5 and found.arena_bytes > 500, "the decoded weights need arena"
    assert flash_of(INT8, FilePorts(INT8).raw_inputs(X)).file is None


def test_a_table_that_does_not_fit_the_quantization_is_caught(
    clustered: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (right,) = find_tables(clustered)
    wrong: Table = dataclasses.replace(right, axis=None, bits=7)
    inputs = FilePorts(clustered).raw_inputs(X)
    made = compress(clustered, [wrong], inputs)
    assert not made.agreement.same, "the interpreter says nothing, and gives other outputs"
    monkeypatch.setattr("litetuner.objectives.tflm.compression.find_tables", lambda file: (wrong,))
    found = flash_of(clustered, inputs)
    assert found.file is None and found.size == len(clustered)
    assert "of 5 samples gave other outputs" in found.reason


def test_bits_are_compared_not_values() -> None:
    one, other = np.array([[0.0], [1.0]], np.float32), np.array([[-0.0], [1.0]], np.float32)
    found = compare_outputs([one], [other])
    assert (found.samples, found.equal, found.largest, found.same) == (2, 1, 0.0, False)
    with pytest.raises(BuildFailed, match="other shapes or types"):
        compare_outputs([one], [one.astype(np.float64)])
