"""Which channels of a tf_keras model belong together: they must be pruned together in all layers.

Every channel that a layer creates gets a number. The last axis of a tensor is an array of numbers, one for each
position. Layers that work channel by channel pass the numbers on, a concatenation joins them, a flattening repeats
them, and an addition ties the numbers of its inputs. Tied numbers are kept or pruned together. Channels that the same
layers create form a group. The idea is that of dependency graphs (Fang et al. 2023, arXiv:2301.12900), applied to
single channels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.channels.layer_rules import depends_on_width, passage
from litetuner.spaces.channels.numbering import ChannelNumbers, Group, OpaqueError
from litetuner.spaces.models.keras_graph import call_outputs, nodes
from litetuner.spaces.tf import load


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer: the numbers of its first input and of its first output, by position on the last axis.

    ``understood`` is false for a layer without a rule; then all of its channels are pinned. ``heads`` are the numbers
    of attention heads.
    """

    layer: Any
    source: np.ndarray
    output: np.ndarray
    understood: bool
    heads: np.ndarray

    def side(self, name: str) -> np.ndarray:
        """The numbers along an axis of the layer's weights, by the name of the axis in ``Kernels.axes``."""
        if name == "middle":  # between the two halves of a separable convolution
            return np.repeat(self.source, self.layer.depth_multiplier)
        return {"source": self.source, "output": self.output, "heads": self.heads}[name]


@dataclasses.dataclass(frozen=True)
class ChannelGraph:
    """Every call of every layer in the order of ``nodes``, the groups, and the channel id of each number (``roots``).

    ``ends`` are the channel ids of the model's inputs and outputs.
    """

    calls: tuple[Call, ...]
    groups: tuple[Group, ...]
    roots: np.ndarray
    ends: frozenset[int]

    def layers(self) -> dict[str, Call]:
        """The first call of each layer, by name. It represents all calls: calls of a layer with weights are tied."""
        return {call.layer.name: call for call in reversed(self.calls)}

    def remaining(self, numbers: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """The positions on an axis that remain if the channels ``kept`` (by id, true or false) remain."""
        return np.flatnonzero(kept[self.roots[numbers]])


def trace(model: Any, pinned: Sequence[str] = ()) -> ChannelGraph:
    """Follow the channels of a flat functional tf_keras model; channels of the layers ``pinned`` are never pruned.

    Inputs and outputs are pinned, and so are all inputs and outputs of a layer without a rule (such as a recurrent
    layer).
    """
    load()
    return _ChannelTracer(model, frozenset(pinned)).run()


class _ChannelTracer:
    def __init__(self, model: Any, pinned: frozenset[str]) -> None:
        self.model = model
        self.pinned = pinned
        self.numbers = ChannelNumbers()
        self.tensors: dict[int, np.ndarray] = {}
        self.calls: list[Call] = []
        self.first: dict[str, Call] = {}

    def run(self) -> ChannelGraph:
        for tensor in self.model.inputs:
            name = tensor.node.layer.name
            numbers = self.numbers.make(_width(tensor), name)
            self.numbers.pin(numbers, f"{name} is an input")
            self.tensors[id(tensor)] = numbers
        for node in nodes(self.model):
            self._visit(node.layer, list(node.keras_inputs), call_outputs(node))
        for tensor in self.model.outputs:
            self.numbers.pin(self.tensors[id(tensor)], f"{tensor.node.layer.name} is an output", foremost=True)
        roots = self.numbers.roots()
        ends = [roots[self.tensors[id(tensor)]] for tensor in (*self.model.inputs, *self.model.outputs)]
        return ChannelGraph(
            tuple(self.calls), self.numbers.groups(roots), roots, frozenset(np.concatenate(ends).tolist())
        )

    def _visit(self, layer: Any, inputs: list[Any], outputs: list[Any]) -> None:
        sources = [self.tensors[id(tensor)] for tensor in inputs]
        before = self.first.get(layer.name)
        try:
            result, heads = passage(layer, inputs, sources, outputs, self.numbers)
            results = [result]
            if before is not None:
                self._tie_calls(layer, before, sources[0], result)
                self.numbers.tie(before.heads, heads)
            call = Call(layer, sources[0], result, True, heads)
        except OpaqueError as error:
            reason = f"{layer.name}: {error}"
            results = [self.numbers.make(_width(tensor), layer.name) for tensor in outputs]
            touched = [*sources, *results] + ([before.source, before.output] if before else [])
            for numbers in touched:
                self.numbers.pin(numbers, reason)
            call = Call(layer, sources[0], results[0], False, np.zeros(0, np.int64))
        if layer.name in self.pinned:
            self.numbers.pin(np.concatenate([results[0], call.heads]), f"{layer.name} is skipped")
        for tensor, numbers in zip(outputs, results, strict=True):
            self.tensors[id(tensor)] = numbers
        self.calls.append(call)
        self.first.setdefault(layer.name, call)

    def _tie_calls(self, layer: Any, before: Call, source: np.ndarray, output: np.ndarray) -> None:
        """Tie the calls of a layer: they have one kernel (or one target shape), so all lose the same channels."""
        if not depends_on_width(layer):
            return
        if not before.understood or len(source) != len(before.source) or len(output) != len(before.output):
            raise OpaqueError("it is called on tensors of different widths")
        self.numbers.tie(before.source, source)
        self.numbers.tie(before.output, output)


def _width(tensor: Any) -> int:
    """The size of the last axis; 1 if a tensor has no such axis or its size is not known."""
    return int(tensor.shape[-1] or 1) if len(tensor.shape) > 1 else 1
