"""Activations of a float ``.tflite`` while some of its weights are changed: every operator runs once per sample.

The graph runs in segments, from one layer of interest to the next. Each segment is a small file of its own. So a layer
can be solved for on the outputs of the changed layers before it, without running those layers again.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import is_packed, unpack
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.macs import file_macs
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import ints, pack_model, read_model, text, type_name

MOST_BYTES = 2**28  # of one tensor over all samples; fewer samples are used if a tensor is larger
# MACs of all samples together, about 10 s on one core. Larger models get fewer samples, but at least FEWEST_SAMPLES: 32
# samples are as good as 1,024 (ResNet8 and DS-CNN).
MOST_MACS = 10**11
FEWEST_SAMPLES = 32


def input_values(model: Any, samples: np.ndarray) -> dict[int, np.ndarray]:
    """Samples as values (n, 1, *shape) of input tensors, by index. Raises ``BuildFailed`` if names do not match."""
    graph = model.subgraphs[0]
    indices = ints(graph.inputs)
    named = (
        {text(item.name): int(item.tensorIndex) for item in model.signatureDefs[0].inputs} if is_packed(samples) else {}
    )
    given = {named.get(name, -1): rows for name, rows in unpack(samples).items()} if named else {indices[0]: samples}
    if set(given) != set(indices):
        raise BuildFailed(
            f"the file has the inputs {', '.join(named) or len(indices)}, and the samples do not have them"
        )
    return {index: np.asarray(rows, type_name(graph.tensors[index].type))[:, None] for index, rows in given.items()}


def affordable(model: Any, count: int) -> int:
    """How many of ``count`` samples to use within ``MOST_BYTES`` (for each tensor) and ``MOST_MACS`` (run time)."""
    count = min(count, max(FEWEST_SAMPLES, MOST_MACS // max(file_macs(model), 1)))
    tensors = model.subgraphs[0].tensors
    largest = max((4 * int(np.prod(np.abs(ints(tensor.shape)))) for tensor in tensors), default=4)
    return max(1, min(count, MOST_BYTES // max(largest, 1)))


class Walk:
    """A partly executed graph: ``values`` are the tensors that the operators from ``position`` on still need.

    ``model`` (``read_model``) may be changed between calls, but only in operators that did not run yet.
    """

    def __init__(self, model: Any, values: Mapping[int, np.ndarray]) -> None:
        self._model = model
        self._operators = list(model.subgraphs[0].operators)
        self.position = 0
        self.values = dict(values)

    def fork(self, model: Any, count: int) -> "Walk":
        """Another walk with the first ``count`` samples. It continues in ``model``, which must be equal up to here."""
        walk = Walk(model, {index: value[:count] for index, value in self.values.items()})
        walk.position = self.position
        return walk

    def finish(self) -> list[np.ndarray]:
        """The outputs before a final softmax or sigmoid, because saturated outputs hide differences."""
        operators = operators_of(self._model)
        self.advance(len(operators) - (operators[-1].name in ("SOFTMAX", "LOGISTIC")))
        return list(self.values.values())

    def advance(self, stop: int) -> None:
        """Run the operators before ``stop``. Raises ``BuildFailed`` if the runtime cannot run them."""
        if stop <= self.position:
            return
        needed = {index for operator in self._operators[stop:] for index in ints(operator.inputs)}
        needed |= set(ints(self._model.subgraphs[0].outputs))
        running = self._operators[self.position : stop]
        made = {index for operator in running for index in ints(operator.outputs)}
        read = {index for operator in running for index in ints(operator.inputs)} & set(self.values)
        wanted = sorted(made & needed)
        if wanted:
            file = _segment(self._model, running, sorted(read), wanted)
            self.values |= dict(zip(wanted, _run(file, [self.values[index] for index in sorted(read)]), strict=True))
        self.values = {index: value for index, value in self.values.items() if index in needed}
        self.position = stop


def _segment(model: Any, operators: Iterable[Any], inputs: list[int], outputs: list[int]) -> bytes:
    """A file with some operators of the main subgraph and renumbered tensors; other subgraphs do not change."""
    graph = model.subgraphs[0]
    used = sorted({index for each in operators for side in (each.inputs, each.outputs) for index in ints(side)} - {-1})
    numbers = {index: number for number, index in enumerate(used)} | {-1: -1}
    part, shell = copy.copy(graph), copy.copy(model)
    part.tensors = [graph.tensors[index] for index in used]
    part.inputs, part.outputs = ([numbers[index] for index in side] for side in (inputs, outputs))
    part.operators = []
    for operator in operators:
        renumbered = copy.copy(operator)
        renumbered.inputs = [numbers[index] for index in ints(operator.inputs)]
        renumbered.outputs = [numbers[index] for index in ints(operator.outputs)]
        part.operators.append(renumbered)
    shell.subgraphs = [part, *model.subgraphs[1:]]
    kept = {tensor.buffer for each in shell.subgraphs for tensor in each.tensors}
    shell.buffers = [buffer if index in kept else model.buffers[0] for index, buffer in enumerate(model.buffers)]
    shell.signatureDefs = shell.metadata = shell.metadataBuffer = None
    return pack_model(shell)


def _run(file: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs (n, *shape) for inputs (n, *shape). Samples run one by one: graphs may have a fixed batch of 1."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=file, num_threads=1)
        places = [int(detail["index"]) for detail in interpreter.get_input_details()]
        for place, values in zip(places, inputs, strict=True):
            interpreter.resize_tensor_input(place, values.shape[1:])
        interpreter.allocate_tensors()
        results = [int(detail["index"]) for detail in interpreter.get_output_details()]
        found: list[np.ndarray] = []
        for sample, row in enumerate(zip(*inputs, strict=True)):
            interpreter.reset_all_variables()
            for place, value in zip(places, row, strict=True):
                interpreter.set_tensor(place, value)
            interpreter.invoke()
            outputs = [interpreter.get_tensor(result) for result in results]
            found = found or [np.empty((len(inputs[0]), *value.shape), value.dtype) for value in outputs]
            for kept, value in zip(found, outputs, strict=True):
                kept[sample] = value
        return found
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BuildFailed(f"the runtime does not run a part of the float file: {reason}") from error


def last_values(file: bytes, samples: np.ndarray) -> list[np.ndarray]:
    """The outputs of a float file before a final softmax or sigmoid, because saturated outputs hide differences."""
    model = read_model(file)
    return Walk(model, input_values(model, samples)).finish()
