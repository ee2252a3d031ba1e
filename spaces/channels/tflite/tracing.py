"""Which channels of a float ``.tflite`` belong together; ``groups.trace`` does the same for a tf_keras model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from litetuner.spaces.channels.numbering import ChannelNumbers, Group, OpaqueError
from litetuner.spaces.channels.tflite.operator_rules import OperatorCall, passage
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import ints, text


@dataclasses.dataclass(frozen=True)
class FileChannels:
    """The channels of the main subgraph: groups, the channel id of each number (``roots``), and where the numbers are.

    ``tensors`` are the numbers on the last axis of each computed tensor, by index. ``constants`` are the numbers along
    an axis of a constant: (operator, input position, axis) -> numbers. ``shapes`` are constant shapes whose last size
    is a number of channels: (operator, input position) -> numbers. ``ends`` are the channel ids of the inputs and
    outputs. ``opaque`` are operators without a rule; all their inputs and outputs are pinned.
    """

    tensors: Mapping[int, np.ndarray]
    constants: Mapping[tuple[int, int, int], np.ndarray]
    shapes: Mapping[tuple[int, int], np.ndarray]
    groups: tuple[Group, ...]
    roots: np.ndarray
    ends: frozenset[int]
    opaque: frozenset[int]

    def remaining(self, numbers: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """The positions on an axis that remain if the channels ``kept`` (by id, true or false) remain."""
        return np.flatnonzero(kept[self.roots[numbers]])


def trace_file(model: Any) -> FileChannels:
    """Follow the channels of a file (``read_model``).

    Inputs and outputs of the file are pinned, and so are those of operators without a rule.
    """
    return _FileTracer(model).run()


class _FileTracer:
    def __init__(self, model: Any) -> None:
        self.model = model
        self.graph = model.subgraphs[0]
        self.numbers = ChannelNumbers()
        self.tensors: dict[int, np.ndarray] = {}
        self.constants: dict[tuple[int, int, int], np.ndarray] = {}
        self.kernels: dict[tuple[int, int], np.ndarray] = {}  # numbers by tensor and axis
        self.shapes: dict[tuple[int, int], np.ndarray] = {}
        self.locked: dict[int, str] = {}  # reasons why tensors cannot change, such as a reading opaque operator
        self.opaque: set[int] = set()

    def run(self) -> FileChannels:
        for index in ints(self.graph.inputs):
            self._make(index, "is an input")
        for operator in operators_of(self.model):
            self._visit(self.graph.operators[operator.index], operator.index, operator.name)
        for index in ints(self.graph.outputs):
            if index in self.tensors:
                self.numbers.pin(self.tensors[index], f"{self._name(index)} is an output", foremost=True)
            self.locked[index] = f"{self._name(index)} is an output"
        for (at, position, _), numbers in self.constants.items():
            tensor = ints(self.graph.operators[at].inputs)[position]
            if tensor in self.locked:
                self.numbers.pin(numbers, self.locked[tensor])
        roots = self.numbers.roots()
        ends = [
            self.tensors[at]
            for side in (self.graph.inputs, self.graph.outputs)
            for at in ints(side)
            if at in self.tensors
        ]
        return FileChannels(
            self.tensors,
            self.constants,
            self.shapes,
            self.numbers.groups(roots),
            roots,
            frozenset(roots[np.concatenate([np.zeros(0, np.int64), *ends])].tolist()),
            frozenset(self.opaque),
        )

    def _visit(self, node: Any, operator: int, kind: str) -> None:
        outputs = ints(node.outputs)
        name = self._name(outputs[0]) if outputs else kind
        for index in ints(node.inputs):  # a variable, or a tensor that no operator computes
            if index >= 0 and index not in self.tensors and self._data(index) is None:
                self._make(index, "is not computed by an operator")
        before = len(self.numbers)
        call = OperatorCall(self.model, node, name, kind, self.tensors, self.numbers)
        try:
            found = passage(call)
        except OpaqueError as error:
            self.numbers.pin(np.arange(before, len(self.numbers)), f"{name}: {error}")
            self._pin_all(node, f"{name}: {error}")
            self.opaque.add(operator)
            return
        self.tensors[outputs[0]] = found
        self.shapes |= {(operator, position): numbers for position, numbers in call.resized}
        for position, axis, numbers in call.sliced:
            self.constants[operator, position, axis] = numbers
            tensor = call.inputs[position]
            if sum(size > 1 for size in call.shape(tensor)) > 1:  # operators that share a kernel lose the same channels
                self.numbers.tie(self.kernels.setdefault((tensor, axis), numbers), numbers)

    def _pin_all(self, node: Any, reason: str) -> None:
        for index in ints(node.inputs):
            if index in self.tensors:
                self.numbers.pin(self.tensors[index], reason)
            else:
                self.locked.setdefault(index, reason)
        for index in ints(node.outputs):
            self._make(index, reason)

    def _make(self, index: int, reason: str) -> None:
        shape = ints(self.graph.tensors[index].shape)
        self.tensors[index] = self.numbers.make(max(shape[-1], 1) if shape else 1, self._name(index))
        self.numbers.pin(self.tensors[index], reason if ":" in reason else f"{self._name(index)} {reason}")

    def _data(self, index: int) -> Any:
        return self.model.buffers[self.graph.tensors[index].buffer].data

    def _name(self, index: int) -> str:
        return text(self.graph.tensors[index].name).split(";")[-1]
