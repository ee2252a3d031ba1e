"""Sources for TensorFlow Lite Micro besides the C array: an op resolver, and an example program that runs the model."""

from litetuner.reports.export.c_array import comment
from litetuner.reports.export.model_card import templates
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.schema import operator_name, read_model

# Method names of MicroMutableOpResolver (micro_mutable_op_resolver.h of github.com/tensorflow/tflite-micro) that cannot
# be derived from the operator's name.
METHODS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    "TFLM_DECODE": "Decode",
    "ethos-u": "EthosU",
}
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "float32": "float", "int32": "int32_t"}
EXAMPLE = "run_example.cc"


def method(operator: str) -> str:
    """The method of the op resolver for an operator: ``Conv2D`` for ``CONV_2D``, without the prefix ``Add``."""
    if operator in METHODS:
        return METHODS[operator]
    return "".join(part.upper() if part[0].isdigit() else part.capitalize() for part in operator.split("_"))


def resolver_name(symbol: str) -> str:
    return f"{symbol}_ops.h"


def op_resolver(symbol: str, content: bytes, about: str) -> str:
    """A header with an op resolver that registers exactly the operators of a file."""
    codes = [operator_name(code)[0] for code in read_model(content).operatorCodes or []]
    operators = sorted({method(name) for name in codes})
    names = {"guard": f"LITETUNER_{symbol.upper()}_OPS_H_", "type": _type(symbol), "function": f"{symbol}_add_ops"}
    return str(templates().get_template("op_resolver.h").render(operators=operators, about=comment(about), **names))


def micro_example(symbol: str, plain: bytes, about: str, arena: tuple[int, str], npu: str = "") -> str:
    """The text of ``run_example.cc``.

    ``plain`` is the measured file: the device's file has the same inputs and outputs. ``arena`` is the size of the
    arena in bytes and its source in words. ``npu`` is the accelerator that the file is compiled for, empty for none.
    Raises ``BuildFailed`` for an output whose type is not in ``C_TYPES``.
    """
    artifact = read_artifact(plain)
    output = artifact.outputs[0]
    if output.dtype not in C_TYPES:
        raise BuildFailed(f"the output has type {output.dtype}, which the example cannot print")
    names = {"type": _type(symbol), "function": f"{symbol}_add_ops", "symbol": symbol}
    names |= {"header": f"{symbol}.h", "resolver": resolver_name(symbol), "output_type": C_TYPES[output.dtype]}
    ports = {
        "inputs": comment("; ".join(map(_words, artifact.inputs))),
        "outputs": comment("; ".join(map(_words, artifact.outputs))),
    }
    about = comment(about)
    told = {"about": about, "arena": arena[0], "arena_words": comment(arena[1]), "npu": npu, **ports}
    return str(templates().get_template("run_example.cc").render(**told, **names))


def _type(symbol: str) -> str:
    return "".join(part.capitalize() for part in symbol.split("_")) + "Ops"


def _words(port: TensorInfo) -> str:
    scale = f", real = {port.scale:g} * (value - {port.zero_point})" if port.scale else ""
    return f"{port.dtype} {list(port.shape)}{scale}"
