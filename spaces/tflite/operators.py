"""The operators of a ``.tflite`` in the order of execution, and the constant tensor with the weights of each.

Only the main subgraph is read, because the converters put the layers of a Keras model there.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from litetuner.spaces.tflite.schema import as_list, ints, operator_name, read_model, rejects_damage, text, type_name
from litetuner.spaces.tflite.weight_operators import WEIGHT_OPERATORS

_BETWEEN = ("DEQUANTIZE", "DENSIFY")  # operators that may be between a constant weight and its operator


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator of the main subgraph. ``name`` is the custom name for custom and Flex operators.

    ``index`` is its position in the order of execution. ``weight_index`` is the index of the constant tensor with the
    weights, also if a DEQUANTIZE (float16) or DENSIFY (sparse) is between this tensor and the operator.
    ``weight_index``, ``weight_dtype`` and ``weight_shape`` are ``None`` for operators without constant weights.
    """

    index: int
    name: str
    output_name: str
    activation_dtype: str | None
    weight_index: int | None = None
    weight_dtype: str | None = None  # the model card shows it
    weight_shape: tuple[int, ...] | None = None
    input_rank: int | None = None


def names_of_layers(operators: Sequence[Operator]) -> dict[str, int]:
    """A unique layer name for each operator with weights, and its index. For models whose Keras layers are not known.

    The name is the last part of the name of the output tensor, or the whole name if several outputs share the last
    part. Converters join the names of operators that they fuse, in any order, and of constants that operators share.
    """
    weighted = [
        (op.index, [part.removesuffix("_quantized").removesuffix("_dequant") for part in op.output_name.split(";")])
        for op in operators
        if op.weight_index is not None
    ]
    last = Counter(parts[-1] for _, parts in weighted)
    whole = Counter(";".join(parts) for _, parts in weighted)
    found: dict[str, int] = {}
    for index, parts in weighted:
        full = ";".join(parts)
        name = parts[-1] if last[parts[-1]] == 1 else full if whole[full] == 1 else f"{full}#{len(found)}"
        found[name] = index
    return found


@rejects_damage
def read_operators(file: bytes) -> list[Operator]:
    """The operators of the main subgraph, in the order of execution. Raises ``BuildFailed`` for an unreadable file."""
    return operators_of(read_model(file))


def operators_of(model: Any) -> list[Operator]:
    """The same as ``read_operators`` for a file that is already an object model (``read_model``)."""
    graph = model.subgraphs[0]
    names = [operator_name(code) for code in model.operatorCodes or []]
    producer = {index: operator for operator in graph.operators for index in as_list(operator.outputs)}

    def constant(index: int) -> int | None:
        while index in producer:
            operator = producer[index]
            if names[operator.opcodeIndex][0] not in _BETWEEN:
                return None
            index = operator.inputs[0]
        tensor = graph.tensors[index] if index >= 0 else None
        if tensor is None or model.buffers[tensor.buffer].data is None or len(as_list(tensor.shape)) < 2:
            return None
        return index

    found = []
    for index, operator in enumerate(graph.operators):
        name, custom = names[operator.opcodeIndex]
        inputs, outputs = as_list(operator.inputs), as_list(operator.outputs)
        holds = None if custom else WEIGHT_OPERATORS.get(name)
        position = 0 if holds is None else holds.activation_input
        source = inputs[position] if position < len(inputs) and inputs[position] >= 0 else None
        at = len(inputs) if holds is None else holds.weight_input
        weight = constant(inputs[at]) if at < len(inputs) else None
        tensor = None if weight is None else graph.tensors[weight]
        found.append(
            Operator(
                index=index,
                name=name,
                output_name=text(graph.tensors[outputs[0]].name) if outputs else "",
                activation_dtype=None if source is None else type_name(graph.tensors[source].type),
                weight_index=weight,
                weight_dtype=None if tensor is None else type_name(tensor.type),
                weight_shape=None if tensor is None else tuple(ints(tensor.shape)),
                input_rank=None if source is None else len(as_list(graph.tensors[source].shape)),
            )
        )
    return found
