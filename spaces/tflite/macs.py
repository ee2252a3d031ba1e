"""The number of MACs (multiply-accumulates) of a ``.tflite``, computed from the shapes in the file."""

import math
from typing import Any

from litetuner.spaces.tflite.schema import as_list, element_count, ints, operator_name
from litetuner.spaces.tflite.weight_operators import WEIGHT_OPERATORS

# Operators that multiply by weights or by a second tensor, and the index of that input.
FACTOR_INPUTS = {
    **{name: at.weight_input for name, at in WEIGHT_OPERATORS.items() if name not in ("GATHER", "EMBEDDING_LOOKUP")},
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 1,
    "UNIDIRECTIONAL_SEQUENCE_RNN": 1,
}


def file_macs(model: Any) -> int:
    """The MACs of one inference, summed over all subgraphs; the body of a loop is counted once."""
    names = [operator_name(code)[0] for code in model.operatorCodes or []]
    return sum(
        operator_macs(names[operator.opcodeIndex], operator, graph)
        for graph in model.subgraphs
        for operator in graph.operators
    )


def operator_macs(name: str, operator: Any, graph: Any) -> int:
    """The MACs of one operator of a subgraph; 0 if it multiplies neither by weights nor by a second tensor."""
    inputs: list[Any] = [None if index < 0 else graph.tensors[index] for index in as_list(operator.inputs)]
    factor = FACTOR_INPUTS.get(name)
    if factor is None or len(inputs) <= factor or inputs[factor] is None:
        return 0
    weight = ints(inputs[factor].shape)
    out = element_count(graph.tensors[as_list(operator.outputs)[0]])
    if name == "CONV_2D":  # (out, height, width, in / groups)
        return out * math.prod(weight[1:])
    if name == "DEPTHWISE_CONV_2D":  # (1, height, width, out)
        return out * math.prod(weight[1:3])
    if name == "CONV_3D":  # (depth, height, width, in, out)
        return out * math.prod(weight[:4])
    if name == "TRANSPOSE_CONV":  # (out, height, width, in)
        return element_count(inputs[2]) * math.prod(weight[:3])
    if name == "CONV_3D_TRANSPOSE":  # (depth, height, width, out, in)
        return element_count(inputs[2]) * math.prod(weight[:4])
    if name == "FULLY_CONNECTED":  # (out, in)
        return out * weight[-1]
    if name == "BATCH_MATMUL":
        return out * int(as_list(inputs[0].shape)[-2 if operator.builtinOptions.adjX else -1])
    # Recurrent operators use every weight matrix once per time step and sample.
    matrices = [each for each in inputs[1:] if each is not None and not each.isVariable and len(ints(each.shape)) == 2]
    steps = math.prod(ints(inputs[0].shape)[:2])
    return steps * sum(element_count(tensor) for tensor in matrices)
