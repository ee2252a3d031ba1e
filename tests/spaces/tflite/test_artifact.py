"""The artifact is what the file's bytes say."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.interpreter import partitions
from litetuner.spaces.tflite.rewriting.slimming import slim
from litetuner.spaces.tflite.schema import read_model


def pack(model: Any) -> bytes:
    """An object model as a file, by the runtime's own writer."""
    from ai_edge_litert.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def test_sizes_types_and_operators(tflite: Callable[..., bytes]) -> None:
    file = tflite("plain", "int8")
    artifact = read_artifact(file)
    assert artifact.sha256 == hashlib.sha256(file).hexdigest()
    assert (artifact.file_bytes, artifact.compressed_bytes) == (len(file), len(zlib.compress(file, 9)))
    assert artifact.operators == {
        "CONV_2D": 2,
        "DEPTHWISE_CONV_2D": 1,
        "DEQUANTIZE": 1,
        "FULLY_CONNECTED": 2,
        "QUANTIZE": 1,
        "RESHAPE": 1,
        "SOFTMAX": 1,
    }
    assert [(port.dtype, port.shape, port.scale) for port in artifact.inputs] == [("float32", (-1, 8, 8, 3), 0.0)]
    assert [(port.dtype, port.shape) for port in artifact.outputs] == [("float32", (-1, 4))]
    json.dumps(dataclasses.asdict(artifact))


def test_integer_ports_carry_their_quantization(tflite: Callable[..., bytes]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    file = tflite("plain", "int8io")
    artifact = read_artifact(file)
    detail = Interpreter(model_content=file).get_input_details()[0]
    (port,) = artifact.inputs
    assert port.dtype == "int8"
    assert (port.scale, port.zero_point) == detail["quantization"]  # exact: both are the file's float32
    assert artifact.outputs[0].dtype == "int8"


def test_structure_leaves_out_values_names_and_scales(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    for mode in ("float32", "int8"):
        plain, zeros = read_artifact(tflite("plain", mode)), read_artifact(tflite("zeros", mode))
        assert plain.sha256 != zeros.sha256
        assert plain.structure == zeros.structure
        assert read_artifact(slim(tflite("plain", mode), samples).file).structure == plain.structure


def test_structure_tells_types_options_and_shapes_apart(tflite: Callable[..., bytes]) -> None:
    files = [tflite("plain", mode) for mode in ("float32", "float16", "dynamic", "int8", "int8io")]
    files.append(tflite("branches", "float32"))
    assert len({read_artifact(file).structure for file in files}) == len(files)
    model = read_model(tflite("plain", "float32"))
    model.subgraphs[0].operators[0].builtinOptions.fusedActivationFunction = 3
    assert read_artifact(pack(model)).structure != read_artifact(files[0]).structure


def test_a_scale_of_zero_is_another_structure_and_another_partition(tflite: Callable[..., bytes]) -> None:
    """XNNPACK leaves such an operator to slow kernels, so its latency may not be that of a file without it."""
    file = tflite("plain", "int8")
    model = read_model(file)
    found = [tensor.quantization for tensor in model.subgraphs[0].tensors if tensor.quantization is not None]
    kernel = next(item for item in found if item.scale is not None and len(item.scale) > 1)

    def with_scale(value: float) -> bytes:
        kernel.scale = [value, *kernel.scale[1:]]
        return pack(model)

    # A denormal number is no scale either; the last is what min-max writes for a filter of zeros.
    zero, denormal, small = (with_scale(value) for value in (0.0, 1e-40, 7.9e-12))
    usual, *found = (read_artifact(item).structure for item in (file, zero, denormal, small))
    assert [structure == usual for structure in found] == [False, False, True]
    assert partitions(zero) != partitions(file) == partitions(small)
    assert partitions(tflite("plain", "float32")) != partitions(b"no file") == partitions(b"no file")


def test_structure_does_not_depend_on_the_order_of_tensors(tflite: Callable[..., bytes]) -> None:
    file = tflite("plain", "float32")
    model = read_model(file)
    graph = model.subgraphs[0]
    last = len(graph.tensors) - 1
    graph.tensors = graph.tensors[::-1]
    for operator in graph.operators:
        operator.inputs = [last - index if index >= 0 else -1 for index in operator.inputs]
        operator.outputs = [last - index for index in operator.outputs]
    graph.inputs = [last - index for index in graph.inputs]
    graph.outputs = [last - index for index in graph.outputs]
    assert read_artifact(pack(model)).structure == read_artifact(file).structure


@pytest.mark.parametrize(("name", "reason"), [(b"FlexErf", "Flex delegate for FlexErf"), (b"MyOp", "custom.*MyOp")])
def test_foreign_operators_are_refused_by_name(tflite: Callable[..., bytes], name: bytes, reason: str) -> None:
    model = read_model(tflite("plain", "float32"))
    code = model.operatorCodes[-1]
    code.builtinCode = code.deprecatedBuiltinCode = 32  # CUSTOM
    code.customCode = name
    with pytest.raises(BuildFailed, match=reason):
        read_artifact(pack(model))


def test_a_real_flex_conversion_is_refused() -> None:
    from litetuner.spaces.tf import load, quiet_stdout

    tf = load()

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4), tf.float32)])
    def determinant(x: Any) -> Any:
        return tf.linalg.det(x)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([determinant.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    with quiet_stdout():
        file = converter.convert()
    with pytest.raises(BuildFailed, match="FlexMatrixDeterminant"):
        read_artifact(file)


@pytest.mark.parametrize("file", [b"", b"TFL3", bytes(64), b"\x1c\x00\x00\x00TFL3" + bytes(8)])
def test_what_is_no_file_is_refused(file: bytes) -> None:
    with pytest.raises(BuildFailed):
        read_artifact(file)


def test_damaged_files_are_refused_or_read(tflite: Callable[..., bytes]) -> None:
    """A flipped byte may leave a readable file; it must never raise anything but ``BuildFailed``."""
    file, rng = bytearray(tflite("plain", "int8")), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        mutant = bytearray(file)
        for place in rng.integers(8, len(file), size=20):
            mutant[place] = rng.integers(256)
        try:
            read_artifact(bytes(mutant))
        except BuildFailed:
            refused += 1
    assert refused > 0
