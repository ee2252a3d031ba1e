"""The layers of a ``.tflite`` model of the user: its operators with weights, named by their output tensors."""

import math
from typing import Any

from litetuner.spaces.info import LayerInfo
from litetuner.spaces.quantization.int4 import int4_operators
from litetuner.spaces.steps import layer_techniques
from litetuner.spaces.tflite.macs import operator_macs
from litetuner.spaces.tflite.operators import Operator, names_of_layers, operators_of, read_operators
from litetuner.spaces.tflite.schema import element_count, ints, pack_model, read_model, text, type_name

_ACTIVATIONS = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid", "TANH": "tanh", "RELU": "relu"}


def with_names(file: bytes) -> bytes:
    """The file with a unique name for each tensor, as recipes require; the same bytes if all names are unique."""
    model = read_model(file)
    graph = model.subgraphs[0]
    names = [text(tensor.name) for tensor in graph.tensors]
    unnamed = [index for index, name in enumerate(names) if not name or names.count(name) > 1]
    for index in unnamed:
        tensor = graph.tensors[index]
        tensor.name = f"{names[index] or type_name(tensor.type)}_{index}".encode()
    return pack_model(model) if unnamed else file


def layer_info(file: bytes, why: str) -> tuple[LayerInfo, ...]:
    """The operators with weights as layers, in execution order. ``why`` is the reason why they cannot be trained."""
    model = read_model(file)
    graph, operators = model.subgraphs[0], operators_of(model)
    return tuple(_layer_info(name, operators[at], graph, why) for name, at in names_of_layers(operators).items())


def last_activation(file: bytes, output: int = 0) -> str:
    """The last activation before an output, by its Keras name; "linear" for any other operator."""
    graph = read_model(file).subgraphs[0]
    made = text(graph.tensors[graph.outputs[output]].name)
    names = [operator.name for operator in read_operators(file) if operator.output_name == made]
    return _ACTIVATIONS.get(names[-1], "linear") if names else "linear"


def _layer_info(name: str, operator: Operator, graph: Any, why: str) -> LayerInfo:
    shape = operator.weight_shape or ()
    node = graph.operators[operator.index]
    inputs, outputs = ints(node.inputs), ints(node.outputs)
    biased = len(inputs) > 2 and inputs[2] >= 0 and operator.name != "TRANSPOSE_CONV"
    refusals = dict.fromkeys(layer_techniques(), why)
    if operator.name not in int4_operators():
        refusals["int4"] = f"{operator.name} takes no 4-bit weights"
    return LayerInfo(
        name=name,
        type=operator.name,
        parameters=math.prod(shape) + (element_count(graph.tensors[inputs[2]]) if biased else 0),
        kernel_shape=shape,
        output_shape=(None, *ints(graph.tensors[outputs[0]].shape)[1:]),
        refusals=refusals,
        macs=operator_macs(operator.name, node, graph),
        group_refusal=why,
    )
