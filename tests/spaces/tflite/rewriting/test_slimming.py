"""Slimming removes bytes and nothing else."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.steps.slim import Slim
from litetuner.spaces.tflite.rewriting import slimming
from litetuner.spaces.tflite.rewriting.deduplication import SharingBuilder
from litetuner.spaces.tflite.rewriting.slimming import ALIGNMENT, slim
from litetuner.spaces.tflite.running import reference_digests, run
from litetuner.spaces.tflite.schema import read_model, text

FILES = [
    ("plain", "float32"),
    ("plain", "float16"),
    ("plain", "dynamic"),
    ("plain", "int8"),
    ("plain", "int8io"),
    ("plain", "qat"),
    ("branches", "int8"),
    ("keras3", "float32"),
]


def compressed(file: bytes) -> int:
    return len(zlib.compress(file, 9))


def context(samples: np.ndarray) -> Context:
    return Context(x_train=samples[:0], y_train=samples[:0], calibration=samples, loss="mse", batch_size=8, seed=0)


@pytest.mark.parametrize(("model", "mode"), FILES)
def test_outputs_stay_and_bytes_go(tflite: Callable[..., bytes], samples: np.ndarray, model: str, mode: str) -> None:
    file = tflite(model, mode)
    slimmed = slim(file, samples)
    assert slimmed.applied, slimmed.reason
    assert len(slimmed.file) < len(file) and compressed(slimmed.file) < compressed(file)
    ours, theirs = run(slimmed.file, samples), run(file, samples)
    assert ours.identical(theirs) and ours.plan == theirs.plan
    assert slim(slimmed.file, samples).file == slimmed.file  # idempotent
    assert slim(file, samples).file == slimmed.file  # deterministic


def test_reference_kernels_agree(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    file = tflite("plain", "float32")
    expected, found = reference_digests([file, slim(file, samples).file], samples)
    assert expected is not None and found == expected


def test_a_file_that_the_reference_kernels_do_not_run_has_no_digest(tflite: Callable[..., bytes]) -> None:
    file = tflite("plain", "float32")
    assert reference_digests([file[: len(file) // 2]], None) == [None]


@pytest.mark.parametrize("keep_names", [False, True])
def test_ports_and_signatures_keep_their_names(
    tflite: Callable[..., bytes], samples: np.ndarray, keep_names: bool
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    file = tflite("plain", "int8")
    slimmed = slim(file, samples, keep_names).file
    before, after = read_model(file), read_model(slimmed)
    graph, slim_graph = before.subgraphs[0], after.subgraphs[0]
    ports = {*graph.inputs, *graph.outputs}
    for index, (tensor, slim_tensor) in enumerate(zip(graph.tensors, slim_graph.tensors, strict=True)):
        expected = text(tensor.name) if keep_names or index in ports else ""
        assert text(slim_tensor.name) == expected
    assert (
        Interpreter(model_content=slimmed).get_signature_list() == Interpreter(model_content=file).get_signature_list()
    )
    runner = Interpreter(model_content=slimmed).get_signature_runner()
    assert next(iter(runner(**{next(iter(runner.get_input_details())): samples[:1]}).values())).shape == (1, 4)
    assert slimmed[4:8] == b"TFL3"


def test_what_is_removed(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    model = read_model(slim(tflite("plain", "qat"), samples).file)
    assert model.metadata is None and model.description is None and model.subgraphs[0].name is None
    for tensor in model.subgraphs[0].tensors:
        assert tensor.quantization is None or (tensor.quantization.min is None and tensor.quantization.max is None)
        assert tensor.shapeSignature is None or list(tensor.shapeSignature) != list(tensor.shape)
    stored = [bytes(buffer.data) for buffer in model.buffers[1:]]
    assert all(stored) and len(stored) == len(set(stored))


def test_metadata_that_delegates_read_is_kept(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    model = read_model(slim(tflite("plain", "float16"), samples).file)
    assert [item.name for item in model.metadata] == [b"reduced_precision_support"]
    assert bytes(model.buffers[model.metadata[0].buffer].data)


def test_buffers_are_aligned_and_equal_vectors_stored_once(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    from ai_edge_litert import schema_py_generated as schema

    file = slim(tflite("plain", "int8"), samples).file
    model = schema.Model.GetRootAs(file, 0)
    for index in range(1, model.BuffersLength()):
        table = model.Buffers(index)._tab
        start = table.Vector(flatbuffers.number_types.UOffsetTFlags.py_type(table.Offset(4)))
        assert start % ALIGNMENT == 0
    graph = model.Subgraphs(0)
    places: dict[int, set[int]] = {}
    for index in range(graph.TensorsLength()):
        quantization = graph.Tensors(index).Quantization()
        if (
            quantization is not None
            and not quantization.ZeroPointIsNone()
            and not quantization.ZeroPointAsNumpy().any()
        ):
            place = quantization._tab.Vector(quantization._tab.Offset(10))
            places.setdefault(quantization.ZeroPointLength(), set()).add(place)
    assert places and all(len(found) == 1 for found in places.values())


def test_without_samples_seeded_inputs_are_used(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    for mode in ("float32", "int8io"):
        file = tflite("plain", mode)
        assert slim(file).file == slim(file, samples[:0]).file == slim(file, samples).file


def test_a_file_that_computes_something_else_is_not_taken(
    tflite: Callable[..., bytes], samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tflite("plain", "int8"), tflite("zeros", "int8")
    honest = slimming.layouts
    monkeypatch.setattr(slimming, "layouts", lambda file, *rest: honest(other, *rest))
    refused = slim(file, samples)
    assert refused.file == file and not refused.applied and "same operators, weights and scales" in refused.reason
    monkeypatch.setattr(slimming, "_content", lambda model, keep_names: None)
    refused = slim(file, samples)
    assert refused.file == file and not refused.applied and refused.reason == "its outputs are not bit-identical"
    assert Slim().apply(file, context(samples)) == file


def test_the_comparison_of_contents_sees_weights_scales_and_wiring(tflite: Callable[..., bytes]) -> None:
    file = tflite("plain", "int8")
    expected = slimming._content(read_model(file), False)

    def changed(change: Callable[[Any], None]) -> bool:
        model = read_model(file)
        change(model)
        return bool(slimming._content(model, False) != expected)

    def weight(model: Any) -> None:
        buffer = model.buffers[model.subgraphs[0].tensors[2].buffer]
        buffer.data = buffer.data ^ np.uint8(1)

    def scale(model: Any) -> None:
        quantization = model.subgraphs[0].tensors[2].quantization
        quantization.scale = quantization.scale * np.float32(2)

    def wiring(model: Any) -> None:
        model.subgraphs[0].operators[1].inputs[0] = 0

    def option(model: Any) -> None:
        model.subgraphs[0].operators[1].builtinOptions.strideW += 1

    def signature(model: Any) -> None:
        model.signatureDefs[0].signatureKey = b"other"

    assert not changed(lambda model: None)
    assert all(changed(change) for change in (weight, scale, wiring, option, signature))


def test_biases_can_share_the_scales_of_their_weights(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    """What no CPU kernel reads: smaller, and the same under XNNPACK and under the reference kernels."""
    file = tflite("plain", "int8")
    usual, shared = slim(file, samples), slim(file, samples, share_bias_scales=True)
    assert shared.applied and len(shared.file) < len(usual.file) and compressed(shared.file) < compressed(usual.file)
    ours, theirs = run(shared.file, samples), run(file, samples)
    assert ours.identical(theirs) and ours.plan == theirs.plan
    expected, found = reference_digests([file, shared.file], samples[:1])
    assert found == expected
    assert slim(shared.file, samples, share_bias_scales=True).file == shared.file
    unquantized = tflite("plain", "float32")
    assert slim(unquantized, samples, share_bias_scales=True).file == slim(unquantized, samples).file


def test_the_builder_writes_equal_parts_once() -> None:
    builder = SharingBuilder(64)
    array = np.arange(5, dtype=np.int32)
    assert builder.CreateNumpyVector(array) == builder.CreateNumpyVector(array.copy())
    assert builder.CreateNumpyVector(array) != builder.CreateNumpyVector(array.astype(np.int64))
    assert builder.CreateNumpyVector(array) != builder.CreateNumpyVector(array.view(np.float32))
    assert builder.CreateString("name") == builder.CreateString(b"name")

    def table(value: int) -> int:
        builder.StartObject(2)
        builder.PrependInt32Slot(0, value, 0)
        builder.PrependInt8Slot(1, 1, 0)
        return int(builder.EndObject())

    assert table(7) == table(7)
    assert table(7) != table(8)


def test_the_step(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    file = tflite("plain", "int8")
    step = Slim()
    assert step.label() == "" and Slim(keep_names=True).details()
    assert Candidate((step,)).label == "unchanged"
    assert step.apply(file, context(samples)) == slim(file, samples).file
    named = Slim(keep_names=True).apply(file, context(samples))
    assert len(step.apply(file, context(samples))) < len(named) < len(file)


def test_a_file_that_cannot_be_read_is_an_error(samples: np.ndarray) -> None:
    with pytest.raises(BuildFailed):
        slim(b"", samples)
