"""How channels pass through each TensorFlow Lite operator, as a table; an operator that is not in it is opaque."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from litetuner.spaces.channels.numbering import ChannelNumbers, OpaqueError
from litetuner.spaces.tflite.schema import ints, type_name
from litetuner.spaces.tflite.tensor_values import dense_values

# These operators are elementwise, or work on the axes between the first and the last.
_PASSING = """
ABS AVERAGE_POOL_2D CAST CEIL COS ELU EXP FLOOR GELU HARD_SWISH L2_POOL_2D LEAKY_RELU LOG LOGISTIC MAX_POOL_2D NEG RELU RELU6
RELU_N1_TO_1 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SIGN SIN SQRT SQUARE TANH
"""
_MIXING = "L2_NORMALIZATION LOG_SOFTMAX SOFTMAX"  # each output depends on all channels
_PAIRED = "ADD DIV MAXIMUM MINIMUM MUL POW SQUARED_DIFFERENCE SUB"
_REDUCING = "MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM"


@dataclasses.dataclass
class OperatorCall:
    """One operator: its tensors, the numbers of its input channels, and the constants that depend on them.

    ``sliced`` collects (input position, axis, numbers) of constants with channels along an axis. ``resized`` collects
    (input position, numbers) of constant shapes whose last size is the number of these channels.
    """

    model: Any
    node: Any
    name: str
    kind: str
    known: Mapping[int, np.ndarray]  # numbers on the last axis of each tensor that is not constant
    numbers: ChannelNumbers
    sliced: list[tuple[int, int, np.ndarray]] = dataclasses.field(default_factory=list)
    resized: list[tuple[int, np.ndarray]] = dataclasses.field(default_factory=list)

    @property
    def inputs(self) -> list[int]:
        return ints(self.node.inputs)

    @property
    def output_shape(self) -> list[int]:
        return self.shape(ints(self.node.outputs)[0])

    def shape(self, tensor: int) -> list[int]:
        return ints(self.model.subgraphs[0].tensors[tensor].shape)

    def source(self, position: int = 0) -> np.ndarray:
        """The channel numbers of the input at ``position``. Raises ``OpaqueError`` for a constant."""
        tensor = self.inputs[position]
        if tensor not in self.known:
            raise OpaqueError("there is a constant where channels are expected")
        return self.known[tensor]

    def constant(self, position: int) -> np.ndarray:
        """The values of a constant input. Raises ``OpaqueError`` for anything else."""
        if position >= len(self.inputs) or self.inputs[position] < 0 or self.inputs[position] in self.known:
            raise OpaqueError("what it does depends on a tensor that is computed")
        tensor = self.model.subgraphs[0].tensors[self.inputs[position]]
        return dense_values(tensor, type_name(tensor.type), self.model.buffers[tensor.buffer].data)

    def slice(self, position: int, axis: int, numbers: np.ndarray) -> None:
        """Record that a constant input has these channels along an axis. Raises ``OpaqueError`` if it does not."""
        if position >= len(self.inputs) or self.inputs[position] < 0:
            return  # an optional input, such as the bias, is missing
        tensor = self.inputs[position]
        if tensor in self.known or type_name(self.model.subgraphs[0].tensors[tensor].type) != "float32":
            raise OpaqueError("its weights are not float32 constants")
        if self.shape(tensor)[axis] != len(numbers):
            raise OpaqueError("its weights do not fit its channels")
        self.sliced.append((position, axis, numbers))


def passage(call: OperatorCall) -> np.ndarray:
    """The numbers of an operator's output. Raises ``OpaqueError``."""
    if call.kind not in RULES or len(ints(call.node.outputs)) != 1 or not call.output_shape:
        raise OpaqueError(f"how channels go through {call.kind} is not known")
    found = RULES[call.kind](call)
    if len(found) != call.output_shape[-1]:
        raise OpaqueError(f"its {call.output_shape[-1]} outputs cannot be told from {len(found)} channels")
    return found


def _pass(call: OperatorCall) -> np.ndarray:
    return call.source()


def _mix(call: OperatorCall) -> np.ndarray:
    call.numbers.pin(call.source(), f"{call.name}: {call.kind} mixes channels")
    return call.source()


def _convolution(call: OperatorCall) -> np.ndarray:
    source, made = call.source(), call.numbers.make(call.output_shape[-1], call.name)
    if call.shape(call.inputs[1])[3] != len(source):
        raise OpaqueError("its groups must keep equal widths")
    call.slice(1, 0, made)
    call.slice(1, 3, source)
    call.slice(2, 0, made)
    return made


def _transposed(call: OperatorCall) -> np.ndarray:
    source, made = call.source(2), call.numbers.make(call.output_shape[-1], call.name)
    call.constant(0)
    call.resized.append((0, made))
    call.slice(1, 0, made)
    call.slice(1, 3, source)
    call.slice(3, 0, made)
    return made


def _depthwise(call: OperatorCall) -> np.ndarray:
    source = call.source()
    made = np.repeat(source, call.output_shape[-1] // max(len(source), 1))
    call.slice(1, 3, made)
    call.slice(2, 0, made)
    return made


def _dense(call: OperatorCall) -> np.ndarray:
    source, made = call.source(), call.numbers.make(call.output_shape[-1], call.name)
    outputs, inputs = call.shape(call.inputs[1])
    if int(call.node.builtinOptions.weightsFormat) or inputs % len(source) or outputs != len(made):
        raise OpaqueError("its weights have an order of their own")
    call.slice(1, 0, made)
    call.slice(1, 1, np.tile(source, inputs // len(source)))
    call.slice(2, 0, made)
    return made


def _pair(call: OperatorCall) -> np.ndarray:
    """Elementwise operators of two tensors; an axis of size 1 is broadcast."""
    width = call.output_shape[-1]
    computed = [call.known[tensor] for tensor in call.inputs if tensor in call.known]
    whole = [source for source in computed if len(source) == width]
    if not whole:
        raise OpaqueError("neither of its inputs has all channels")
    for source in computed:
        if len(source) != width:
            call.numbers.pin(source, f"{call.name}: it is spread over all channels")
    for source in whole[1:]:
        call.numbers.tie(whole[0], source)
    for position, tensor in enumerate(call.inputs):
        shape = call.shape(tensor)
        if tensor not in call.known and shape and shape[-1] == width > 1:
            call.slice(position, len(shape) - 1, whole[0])
    return whole[0]


def _slopes(call: OperatorCall) -> np.ndarray:
    shape = call.shape(call.inputs[1])
    if shape and shape[-1] > 1:
        call.slice(1, len(shape) - 1, call.source())
    return call.source()


def _concatenate(call: OperatorCall) -> np.ndarray:
    rank = len(call.output_shape)
    sources = [call.source(position) for position in range(len(call.inputs))]
    if int(call.node.builtinOptions.axis) % rank == rank - 1:
        return np.concatenate(sources)
    for source in sources[1:]:  # on another axis than the last, all inputs must have the same channels
        call.numbers.tie(sources[0], source)
    return sources[0]


def _reduce(call: OperatorCall) -> np.ndarray:
    rank = len(call.shape(call.inputs[0]))
    if rank - 1 in {int(axis) % rank for axis in np.ravel(call.constant(1))}:
        raise OpaqueError("it reduces the channels")
    return call.source()


def _reshape(call: OperatorCall) -> np.ndarray:
    """Reshape the numbers like the tensor; every row of the new last axis must have the same channels."""
    source, before, after = call.source(), call.shape(call.inputs[0]), call.output_shape
    rows = np.tile(source, math.prod(before[:-1])).reshape(-1, after[-1])
    if (rows != rows[0]).any():
        raise OpaqueError("it spreads the channels over several axes")
    if call.kind == "RESHAPE":
        if len(call.inputs) < 2 or call.constant(1).size != len(after):
            raise OpaqueError("its shape is not constant")
        call.resized.append((1, rows[0]))
    return rows[0]


def _pad(call: OperatorCall) -> np.ndarray:
    if np.any(call.constant(1)[-1]):
        raise OpaqueError("it pads the channels")
    return call.source()


def _permute(call: OperatorCall) -> np.ndarray:
    order = call.constant(1).ravel()
    if order[-1] != len(order) - 1:
        raise OpaqueError("it moves the channels to another axis")
    return call.source()


def _between_batch(call: OperatorCall) -> np.ndarray:
    if call.constant(1).size > len(call.shape(call.inputs[0])) - 2:
        raise OpaqueError("it moves channels into the batch")
    return call.source()


def _slice(call: OperatorCall) -> np.ndarray:
    width, size = call.shape(call.inputs[0])[-1], call.constant(2)
    if call.constant(1)[-1] or size[-1] not in (-1, width):
        raise OpaqueError("it takes some of the channels")
    call.resized.append((2, call.source()))
    return call.source()


def _strided_slice(call: OperatorCall) -> np.ndarray:
    options, shape = call.node.builtinOptions, call.shape(call.inputs[0])
    begin, end, strides = (call.constant(position) for position in (1, 2, 3))
    if int(options.ellipsisMask) or int(options.newAxisMask):
        raise OpaqueError("its axes are not counted from the first")
    last = len(shape) - 1
    if len(begin) > last:
        whole = begin[last] == 0 or int(options.beginMask) >> last & 1
        whole = whole and (end[last] >= shape[last] or int(options.endMask) >> last & 1)  # the runtime clips the end
        if not whole or strides[last] != 1 or int(options.shrinkAxisMask) >> last & 1:
            raise OpaqueError("it takes some of the channels")
    return call.source()


RULES: Mapping[str, Callable[[OperatorCall], np.ndarray]] = {
    **dict.fromkeys(_PASSING.split(), _pass),
    **dict.fromkeys(_MIXING.split(), _mix),
    **dict.fromkeys(_PAIRED.split(), _pair),
    **dict.fromkeys(_REDUCING.split(), _reduce),
    **dict.fromkeys(("EXPAND_DIMS", "RESHAPE", "SQUEEZE"), _reshape),
    **dict.fromkeys(("MIRROR_PAD", "PAD", "PADV2"), _pad),
    **dict.fromkeys(("BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"), _between_batch),
    "CONCATENATION": _concatenate,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "PRELU": _slopes,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _permute,
    "TRANSPOSE_CONV": _transposed,
}
