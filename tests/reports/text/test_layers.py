"""Names of layers as their user knows them."""

from __future__ import annotations

import pytest

from litetuner.reports.text.layers import kernel_words, layer_name, split_by_layer, with_layer_names

KNOWN = frozenset({"conv2d", "conv2d_1", "dense"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sequential/conv2d_1/BiasAdd/ReadVariableOp/resource1", "conv2d_1"),
        ("model/dense/MatMul;model/dense/BiasAdd", "dense"),
        ("dense", "dense"),
        ("sequential/other/BiasAdd", "sequential/other/BiasAdd"),
    ],
)
def test_the_layer_of_a_tensor(text: str, name: str) -> None:
    assert layer_name(text, KNOWN) == name


def test_sentences_name_layers_and_leave_other_slashes_alone() -> None:
    assert with_layer_names("cluster: sequential/conv2d/Conv2D skipped", KNOWN) == "cluster: conv2d skipped"
    assert with_layer_names("float32 and/or int8", KNOWN) == "float32 and/or int8"


def test_what_was_requested_of_single_layers_is_separated() -> None:
    lines = [
        "reconstruct: a/dense/BiasAdd: prune 70%, 2-bit values",
        "ptq: conv2d: int4",
        "reconstruct: float32 inputs",
    ]
    by_layer, others = split_by_layer(lines, KNOWN)
    assert by_layer == [("dense", "prune 70%, 2-bit values"), ("conv2d", "int4")]
    assert others == ["reconstruct: float32 inputs"]


@pytest.mark.parametrize(
    ("operator", "shape", "words"),
    [
        ("CONV_2D", (32, 3, 3, 16), "3×3 convolution, 16 to 32 channels"),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 8), "3×3 depthwise convolution, 8 channels"),
        ("FULLY_CONNECTED", (10, 256), "dense, 256 to 10"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", (4, 8), "unidirectional sequence lstm 4×8"),
    ],
)
def test_kernels_in_words(operator: str, shape: tuple[int, ...], words: str) -> None:
    assert kernel_words(operator, shape) == words
