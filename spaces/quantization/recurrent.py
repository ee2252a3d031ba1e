"""Operators whose weights litert-quantizer silently leaves in float32: recurrent cells and the bodies of loops."""

from litetuner.spaces.tflite.schema import operator_name, read_model
from litetuner.spaces.tflite.weight_operators import WEIGHT_OPERATORS

_CELLS = ("LSTM", "RNN", "SVDF")  # suffixes of operator names, such as UNIDIRECTIONAL_SEQUENCE_LSTM
_CALLS = ("WHILE", "IF", "CALL", "CALL_ONCE")
_KERNELS = WEIGHT_OPERATORS.keys() - {"GATHER"}  # loops use GATHER to take one step of a sequence


def recurrent_operators(file: bytes) -> list[str]:
    """The types of recurrent cells in a float file, and of control-flow operators whose subgraphs use kernels."""
    model = read_model(file)
    kinds = [operator_name(code)[0] for code in model.operatorCodes or []]
    main, *bodies = ([kinds[operator.opcodeIndex] for operator in graph.operators] for graph in model.subgraphs)
    loops = any(kind in _KERNELS for body in bodies for kind in body)
    return sorted({kind for kind in main if kind.endswith(_CELLS) or (loops and kind in _CALLS)})
