"""Find out which operators a delegate runs, and why it does not run the others. Part of the runner (``runner.FILES``).

The runtime does not report this, but its list of nodes shows it. With a delegate, the nodes of the file are followed by
one ``DELEGATE`` node per partition, with the partition's input and output tensors. Following the graph back from these
outputs to these inputs gives the nodes of the file that the partition replaces.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

CHECKED_VERSION = "2.3.0"  # version of LiteRT; a test fails for versions that ``list_nodes`` was not checked with
Node = dict[str, Any]  # keys: index, op_name, inputs, outputs, operand_types, result_types
DELEGATE = "DELEGATE"
# The float32 operators, and those that also exist in 8 bits, from tflite/delegates/xnnpack/README.md of LiteRT. These
# lists are only used to explain why an operator was not delegated, never to decide if it was.
_FLOAT = """
    ABS AVERAGE_POOL_2D BATCH_MATMUL CEIL COS DIV EXP EXPAND_DIMS FLOOR GELU HARD_SWISH LOG MAXIMUM MINIMUM NEG
    PRELU RELU RELU6 RELU_N1_TO_1 ROUND RSQRT SIN SOFTMAX SPACE_TO_DEPTH SQRT SQUARE SQUARED_DIFFERENCE
    STRIDED_SLICE SUM
"""
_8_BIT = """
    ADD CONCATENATION CONV_2D DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE ELU FULLY_CONNECTED LEAKY_RELU LOGISTIC
    MAX_POOL_2D MEAN MUL PAD QUANTIZE RESHAPE RESIZE_BILINEAR SLICE SPLIT SUB TANH TRANSPOSE TRANSPOSE_CONV
"""
XNNPACK_8_BIT = frozenset(_8_BIT.split())
XNNPACK_FLOAT = XNNPACK_8_BIT | frozenset(_FLOAT.split())
SHAPE_INPUT = {"RESHAPE": 1, "STRIDED_SLICE": 1, "RESIZE_BILINEAR": 1, "PAD": 1, "SLICE": 1, "TRANSPOSE_CONV": 0}
WEIGHT_INPUT = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
XNNPACK = "xnnpack"


def list_nodes(interpreter: Any) -> list[Node]:
    """The nodes of the main graph: the operators of the file, then one ``DELEGATE`` node per partition.

    This uses a private method of LiteRT, for which there is no public equivalent.
    """
    nodes: list[Node] = interpreter._get_ops_details()
    return nodes


def read_delegates(interpreter: Any, before: int, requested: Sequence[str]) -> dict[str, Any]:
    """How the main graph of an allocated ``Interpreter`` is partitioned among delegates.

    ``before`` is the number of nodes of an interpreter of the same file without delegates. ``requested`` are the names
    of the delegates in the order in which they were applied. The explanations are for the last one. The keys of the
    result are ``requested``, ``operators``, ``delegated``, ``partitions``, ``quantize`` and ``dequantize`` (the file's
    own operators), and ``fallback``, a list of ``{"operator", "count", "indices", "why"}`` for the operators that were
    not delegated.
    """
    nodes = list_nodes(interpreter)
    return summarize_nodes(nodes[:before], nodes[before:], requested)


def summarize_nodes(own: Sequence[Node], partitions: Sequence[Node], requested: Sequence[str]) -> dict[str, Any]:
    """See ``read_delegates``; ``own`` are the file's nodes, ``partitions`` the ``DELEGATE`` nodes."""
    taken: set[int] = set()
    for partition in partitions:
        taken |= members(own, partition)
    left = [node for node in own if node["index"] not in taken]
    names = collections.Counter(node["op_name"] for node in own)
    found: dict[str, Any] = {"requested": list(requested), "operators": len(own), "delegated": len(taken)}
    found |= {"partitions": len(partitions), "quantize": names["QUANTIZE"], "dequantize": names["DEQUANTIZE"]}
    return found | {"fallback": _grouped(own, left, requested) if requested else []}


def members(own: Sequence[Node], partition: Node) -> set[int]:
    """The indices of the file's nodes that a partition replaces. Nodes whose outputs it does not use are not found."""
    producer = {int(index): node for node in own for index in node["outputs"]}
    entries = {int(index) for index in partition["inputs"]}
    found: set[int] = set()
    open_tensors = [int(index) for index in partition["outputs"]]
    while open_tensors:
        index = open_tensors.pop()
        node = producer.get(index)
        if node is None or index in entries or node["index"] in found:
            continue
        found.add(node["index"])
        open_tensors += [int(tensor) for tensor in node["inputs"]]
    return found


def why_left(node: Node, produced: set[int], requested: Sequence[str]) -> str:
    """Why the last delegate does not run a node. The reason is certain unless the text says ``probably``.

    ``produced`` are the tensors that operators of the file write.
    """
    name, last = node["op_name"], requested[-1]
    inputs = [int(index) for index in node["inputs"]]
    first, *others = [_kind(kind) for kind in node["operand_types"]] or ["none"]
    at, weight = SHAPE_INPUT.get(name), WEIGHT_INPUT.get(name)
    if last != XNNPACK:
        return f"{last} did not take it; delegate libraries do not report why"
    if at is not None and at < len(inputs) and inputs[at] in produced:
        return "its shape is computed while the file runs; XNNPACK needs it before"
    if name not in XNNPACK_FLOAT:
        return "XNNPACK has no kernel for it"
    if first in ("int16", "int32", "int64", "bool"):
        return f"XNNPACK has no {first} kernel for it"
    if first in ("int8", "uint8") and name not in XNNPACK_8_BIT:
        return "XNNPACK has no 8-bit kernel for it"
    if weight is not None and weight < len(inputs) and inputs[weight] in produced:
        return "its weights are unpacked while the file runs; XNNPACK needs constants"
    if weight is not None and first == "float32" and others and others[0] == "int8":
        return "integer weights under float activations, of a kind that XNNPACK does not take"
    return "probably its options, weights or shapes: XNNPACK does not report why"


def _kind(dtype: Any) -> str:
    return getattr(dtype, "__name__", str(dtype))


def _grouped(own: Sequence[Node], left: Sequence[Node], requested: Sequence[str]) -> list[dict[str, Any]]:
    produced = {int(index) for node in own for index in node["outputs"]}
    groups: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for node in left:
        groups[node["op_name"], why_left(node, produced, requested)].append(int(node["index"]))
    return [{"operator": o, "count": len(at), "indices": at, "why": why} for (o, why), at in groups.items()]
