"""The lifetime of each tensor of a file, from its first to its last operator, by the rules of TensorFlow Lite Micro."""

import dataclasses
from typing import Any

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.schema import element_count, ints, operator_name, type_name

# A resource is a handle. A 4-bit activation takes a byte; 4-bit constants are not part of the plan.
_BY_BITS = {64: "float64 int64 uint64 complex64", 32: "float32 int32 uint32 resource", 8: "int8 uint8 bool int4"}
_BY_BITS[16] = "float16 bfloat16 int16 uint16"
BITS = {kind: bits for bits, kinds in _BY_BITS.items() for kind in kinds.split()}
# operator: the options with the indices of the subgraphs that it runs
CALLS = {
    "IF": ("thenSubgraphIndex", "elseSubgraphIndex"),
    "WHILE": ("condSubgraphIndex", "bodySubgraphIndex"),
    "CALL_ONCE": ("initSubgraphIndex",),
}
DEEPEST = 100  # maximum depth of nested subgraph calls


@dataclasses.dataclass(frozen=True)
class Lifetime:
    """A tensor by (subgraph, index), its bytes, and the first and the last step at which it must be in memory."""

    tensor: tuple[int, int]
    size: int
    first: int
    last: int


@dataclasses.dataclass
class Lifetimes:
    """All tensors that an arena must hold. ``variables`` are the bytes of tensors that are kept between inferences.

    ``steps`` is the number of the last step, and ``names`` are the operators by step. Step 0 is before the first
    operator.
    """

    tensors: list[Lifetime]
    variables: list[int]
    steps: int
    names: dict[int, str]


def find_lifetimes(model: Any) -> Lifetimes:
    """The lifetimes of the tensors of an object model (``read_model``), in the order of its subgraphs and tensors.

    Raises ``BuildFailed`` for tensors of unknown size and for subgraphs with infinite recursion.
    """
    walk = _Walk(model)
    walk.enter(0, 0)
    variables, tensors = [], []
    for number, graph in enumerate(model.subgraphs):
        for index, tensor in enumerate(graph.tensors):
            if model.buffers[tensor.buffer].data is not None:
                continue
            size = tensor_bytes(tensor)
            if tensor.isVariable:
                variables.append(size)
            elif size and (number, index) in walk.spans:
                tensors.append(Lifetime((number, index), size, *walk.spans[number, index]))
    return Lifetimes(tensors, variables, walk.step, walk.names)


def tensor_bytes(tensor: Any) -> int:
    """The size of a tensor in bytes. Raises ``BuildFailed`` for strings and other types without a fixed size."""
    kind = type_name(tensor.type)
    if kind not in BITS:
        raise BuildFailed(f"a tensor of type {kind} has no size before the file runs, so its memory cannot be planned")
    return element_count(tensor) * BITS[kind] // 8


class _Walk:
    """Visits all operators in execution order. ``spans`` are [first, last] steps by (subgraph, tensor)."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.codes = [operator_name(code)[0] for code in model.operatorCodes or []]
        self.step = 0
        self.spans: dict[tuple[int, int], list[int]] = {}
        self.names: dict[int, str] = {}

    def enter(self, number: int, depth: int) -> None:
        if depth > DEEPEST or not 0 <= number < len(self.model.subgraphs):
            raise BuildFailed(f"subgraph {number} of the file does not exist or calls itself; convert the model again")
        graph = self.model.subgraphs[number]
        for index in (*ints(graph.inputs), *ints(graph.outputs)):
            self.spans[number, index] = [self.step, self.step]
        for operator in graph.operators:
            self.step += 1
            name = self.codes[operator.opcodeIndex]
            self.names[self.step] = name
            inputs, outputs = ints(operator.inputs), ints(operator.outputs)
            for index in outputs:
                self.spans[number, index] = [self.step, self.step]
            for option in CALLS.get(name, ()):
                self.step += 1
                self.enter(getattr(operator.builtinOptions, option), depth + 1)
            for index in (*inputs, *outputs):
                self._use(number, index)
        for index in ints(graph.outputs):
            self._use(number, index)

    def _use(self, number: int, index: int) -> None:
        if span := self.spans.get((number, index)):
            span[1] = self.step
