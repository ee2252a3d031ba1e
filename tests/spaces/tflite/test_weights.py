"""Operators and weights read back from files of the real converter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.layer_names import NamedOperator as Named
from litetuner.spaces.tflite.layer_names import operators_of_layers
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.rewriting.slimming import slim
from litetuner.spaces.tflite.schema import read_model, tensors_of
from litetuner.spaces.tflite.tensor_values import _unpack
from litetuner.spaces.tflite.weights import weights_at, weights_by_layer

KINDS = {
    "conv2d": ("CONV_2D", 0),
    "conv2d_1": ("CONV_2D", 0),
    "depthwise_conv2d": ("DEPTHWISE_CONV_2D", 3),
    "dense": ("FULLY_CONNECTED", 0),
    "dense_1": ("FULLY_CONNECTED", 0),
}


def test_operators_are_read_in_order(tflite: Callable[..., bytes]) -> None:
    found = read_operators(tflite("plain", "int8"))
    assert [operator.name for operator in found] == [
        "QUANTIZE",
        "CONV_2D",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
        "FULLY_CONNECTED",
        "SOFTMAX",
        "DEQUANTIZE",
    ]
    assert [operator.index for operator in found] == list(range(9))
    conv = found[1]
    assert (conv.activation_dtype, conv.weight_shape) == ("int8", (8, 3, 3, 3))
    assert conv.output_name.endswith("conv2d/Conv2D")
    assert found[0].weight_index is None and found[4].weight_index is None


@pytest.mark.parametrize("mode", ["float32", "float16", "dynamic", "int8", "int8io", "qat"])
def test_every_layer_of_a_sequential_model_is_found(
    tflite: Callable[..., bytes], layer_names: dict[str, list[str]], small_model: Callable[[str], Any], mode: str
) -> None:
    found = weights_by_layer(tflite("plain", mode), layer_names["plain"])
    assert {layer: (weight.operator, weight.channel_axis) for layer, weight in found.items()} == KINDS
    for layer in (
        "conv2d_1",
        "dense",
        "dense_1",
    ):  # no batch norm is folded into these: the kernel itself is in the file
        kernel = small_model("plain").get_layer(layer).get_weights()[0]
        kernel = np.moveaxis(kernel, -1, 0) if kernel.ndim == 4 else kernel.T
        weight = found[layer]
        values = weight.values.astype(np.float32)
        step = np.float32(0)
        if weight.scale.size:
            step = weight.scale.reshape(-1, *[1] * (values.ndim - 1))
            values = values * step
        allowed = 0.51 * step if weight.scale.size else 1e-3 if weight.dtype == "float16" else 0.0  # half a step
        assert (np.abs(values - kernel) <= allowed).all()


def test_float16_weights_are_found_behind_their_dequantize(
    tflite: Callable[..., bytes], layer_names: dict[str, list[str]]
) -> None:
    found = weights_by_layer(tflite("plain", "float16"), layer_names["plain"])
    assert {weight.dtype for weight in found.values()} == {"float16"}


@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_branches_and_slashes_in_names(
    tflite: Callable[..., bytes], layer_names: dict[str, list[str]], mode: str
) -> None:
    found = weights_by_layer(tflite("branches", mode), layer_names["branches"])
    assert {layer: weight.operator for layer, weight in found.items()} == {
        "stem/conv": "CONV_2D",
        "conv2d": "CONV_2D",
        "separable_conv2d": "CONV_2D",  # the larger of its two, the pointwise one
        "conv2d_transpose": "TRANSPOSE_CONV",
        "dense": "FULLY_CONNECTED",
    }
    assert found["separable_conv2d"].values.shape == (16, 1, 1, 8)


@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_keras3_scopes_are_not_taken_for_layers(
    tflite: Callable[..., bytes], layer_names: dict[str, list[str]], mode: str
) -> None:
    """The file calls the layer conv2d ``conv2d_1`` and the layer conv2d_1 ``conv2d_1_2``."""
    found = weights_by_layer(tflite("keras3", mode), layer_names["keras3"])
    assert {layer: weight.values.shape for layer, weight in found.items()} == {
        "conv2d": (8, 3, 3, 3),
        "conv2d_1": (8, 3, 3, 8),
        "dw": (1, 3, 3, 8),
        "dense": (4, 288),
    }


def test_one_name_is_no_prefix_of_another(tflite: Callable[..., bytes]) -> None:
    found = weights_by_layer(tflite("plain", "float32"), ["conv2d"])
    assert found["conv2d"].values.shape == (8, 3, 3, 3)
    assert weights_by_layer(tflite("plain", "float32"), ["conv", "conv2"]) == {}


def test_weights_are_read_after_the_names_are_gone(
    tflite: Callable[..., bytes], layer_names: dict[str, list[str]], samples: np.ndarray
) -> None:
    file = tflite("plain", "int8")
    before = weights_by_layer(file, layer_names["plain"])
    slimmed = slim(file, samples)
    assert slimmed.applied and weights_by_layer(slimmed.file, layer_names["plain"]) == {}
    after = weights_at(slimmed.file, {layer: weight.tensor_index for layer, weight in before.items()})
    for layer, weight in before.items():
        np.testing.assert_array_equal(after[layer].values, weight.values)
        np.testing.assert_array_equal(after[layer].scale, weight.scale)
        assert after[layer].channel_axis == weight.channel_axis
    with pytest.raises(BuildFailed, match=r"dense \(tensor 0\)"):
        weights_at(slimmed.file, {"dense": 0})


def test_order_and_shape_explain_what_names_do_not(tflite: Callable[..., bytes], samples: np.ndarray) -> None:
    nameless = slim(tflite("plain", "int8"), samples).file
    kernels = {"a": (3, 3, 3, 8), "norm": (8,), "b": (3, 3, 8, 8), "c": (3, 3, 8, 1), "d": (512, 12), "e": (12, 4)}
    found = weights_by_layer(nameless, list(kernels), kernels)
    assert [found[layer].operator_index for layer in "abcde"] == [1, 2, 3, 5, 6]


def test_what_is_ambiguous_is_left_out() -> None:
    twins = [
        Named(0, ("x", "y"), (8, 3, 3, 8)),
        Named(1, ("x", "y"), (8, 3, 3, 8)),
        Named(2, ("x", "y"), (4, 8)),
    ]
    kernels = {"a": (3, 3, 8, 8), "b": (8, 4)}
    assert operators_of_layers(twins, ["a", "b"], kernels) == {"b": 2}
    assert operators_of_layers(twins, ["a", "c", "b"], kernels | {"c": (3, 3, 8, 8)}) == {"a": 0, "c": 1, "b": 2}
    nested = [
        Named(0, ("m/left/conv/Conv2D",), (8, 3, 3, 8)),
        Named(1, ("m/right/conv/Conv2D",), (8, 3, 3, 4)),
    ]
    assert operators_of_layers(nested, ["conv"], {}) == {}
    torn = [Named(0, ("m/one/Conv2D;m/two/Conv2D",), (8, 3, 3, 8))]
    assert operators_of_layers(torn, ["one", "two"], {}) == {}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model/conv2d/Conv2D", "conv2d"),
        ("model/re_lu/Relu;model/batch_normalization/FusedBatchNormV3;model/conv2d/Conv2D1", "conv2d"),
        ("model/quant_conv2d/Conv2D;model/quant_conv2d/LastValueQuant/FakeQuantWithMinMaxVarsPerChannel", "conv2d"),
        ("model/prune_low_magnitude_conv2d/Conv2D", "conv2d"),
        ("conv2d/inner/conv2d/Conv2D", "conv2d"),
        ("model/conv2d_1/Conv2D", None),
        ("StatefulPartitionedCall_1:0", None),
    ],
)
def test_names_as_converters_write_them(name: str, layer: str | None) -> None:
    layers = ["conv2d", "batch_normalization", "re_lu"]
    operators = [
        Named(0, (name, "StatefulPartitionedCall:0"), (8, 3, 3, 3)),
        Named(1, ("m/other/MatMul",), (4, 4)),
    ]
    assert operators_of_layers(operators, layers, {}) == ({} if layer is None else {layer: 0})


def test_a_layer_that_is_called_twice_is_found() -> None:
    names = ("arith.constant", "m/shared/MatMul"), ("arith.constant", "m/shared/MatMul_1")
    twice = [Named(index, name, (8, 8), storage=2) for index, name in enumerate(names)]
    assert operators_of_layers(twice, ["shared"], {}) == {"shared": 0}
    attention = [dataclasses.replace(operator, storage=index) for index, operator in enumerate(twice)]
    assert operators_of_layers(attention, ["shared"], {}) == {}  # two weights of one size


def test_a_grouped_convolution_has_no_name_and_is_found_by_its_shape() -> None:
    operators = [
        Named(0, ("m/a/Conv2D", "m/a/Conv2D1"), (4, 3, 3, 4)),
        Named(1, ("Conv2D", "Identity"), (8, 3, 3, 2)),
    ]
    assert operators_of_layers(operators, ["a", "grouped"], {}) == {"a": 0}
    kernels = {"a": (3, 3, 4, 4), "grouped": (3, 3, 2, 8)}
    assert operators_of_layers(operators, ["a", "grouped"], kernels) == {"a": 0, "grouped": 1}


def test_four_bit_values_are_unpacked_low_nibble_first() -> None:
    np.testing.assert_array_equal(_unpack(np.array([0x21, 0xF8], np.uint8), 4, True), [1, 2, -8, -1])
    np.testing.assert_array_equal(_unpack(np.array([0b11100100], np.uint8), 2, True), [0, 1, -2, -1])
    np.testing.assert_array_equal(_unpack(np.array([0x8F], np.uint8), 4, False), [15, 8])


def test_int4_weights_of_the_quantizer(tflite: Callable[..., bytes], layer_names: dict[str, list[str]]) -> None:
    from litert_quantizer import quantizer, recipe

    tool = quantizer.Quantizer(tflite("plain", "float32"), recipe.dynamic_wi4_afp32())
    file = bytes(tool.quantize().quantized_model)
    found = weights_by_layer(file, layer_names["plain"])
    floats = weights_by_layer(tflite("plain", "float32"), layer_names["plain"])
    weight, original = found["dense"], floats["dense"]
    assert weight.dtype == "int4" and weight.values.shape == original.values.shape
    assert weight.values.min() >= -8 and weight.values.max() <= 7
    assert weight.scale.ndim == 1 and weight.channel_axis == 0
    assert (np.abs(weight.values * weight.scale[:, None] - original.values) <= 0.51 * weight.scale[:, None]).all()


@pytest.mark.parametrize(
    ("file", "reason"),
    [(b"", "0 bytes"), (b"PK\x03\x04" + bytes(100), "not a .tflite"), (b"\x08\x00\x00\x00TFL3", "damaged")],
)
def test_what_is_no_file_is_refused(file: bytes, reason: str) -> None:
    with pytest.raises(BuildFailed, match=reason):
        read_operators(file)


def test_a_torn_file_is_refused(tflite: Callable[..., bytes]) -> None:
    file = tflite("plain", "int8")
    with pytest.raises(BuildFailed, match="damaged"):
        read_operators(file[: len(file) // 2])


def test_all_tensors_are_walked(tflite: Callable[..., bytes]) -> None:
    model = read_model(tflite("plain", "float32"))
    assert sum(1 for _ in tensors_of(model)) == len(model.subgraphs[0].tensors)


def test_blockwise_scales_of_the_quantizer(tflite: Callable[..., bytes], layer_names: dict[str, list[str]]) -> None:
    """Scales lie in a tensor of their own, and the weights outside the flatbuffer."""
    from litert_quantizer import qtyping, quantizer

    tool = quantizer.Quantizer(tflite("plain", "float32"))
    dense = qtyping.TFLOperationName.FULLY_CONNECTED
    blocks = qtyping.QuantGranularity.BLOCKWISE_32
    tool.add_dynamic_config(regex="/dense/", operation_name=dense, num_bits=4, granularity=blocks)
    file = bytes(tool.quantize().quantized_model)
    found = weights_by_layer(file, layer_names["plain"])
    weight, original = found["dense"], weights_by_layer(tflite("plain", "float32"), layer_names["plain"])["dense"]
    assert weight.dtype == "int4" and weight.scale.shape == (12, 512 // 32)
    steps = np.repeat(weight.scale, 32, axis=1)
    # two thirds of a step: half for the rounding, the rest because the quantizer narrows the range
    assert (np.abs(weight.values * steps - original.values) <= 0.67 * steps).all()
    assert found["dense_1"].dtype == "float32"
