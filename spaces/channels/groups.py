"""Which channels of a tf_keras model belong together: what is cut at one place must be cut at all of them.

Every channel that a layer makes is an atom. A tensor's last axis is an array of atoms, one for each position: layers that
work channel by channel hand theirs on, a concatenation joins them, a flattening repeats them, and an addition ties the
atoms that meet. Tied atoms stand or fall together; channels that the same layers make form a group. The idea is that of
dependency graphs (Fang et al. 2023, arXiv:2301.12900), down to single channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.channels.layer_rules import depends_on_width, passage
from litetuner.spaces.channels.numbering import Atoms, Group, OpaqueError
from litetuner.spaces.models.keras_graph import call_outputs, nodes
from litetuner.spaces.tf import load


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer: the atoms of its first input and of its first output, by position on the last axis.

    ``understood`` is false where nothing is known of the layer; then all of its channels are pinned. ``heads`` are the atoms
    of an attention's heads.
    """

    layer: Any
    source: np.ndarray
    output: np.ndarray
    understood: bool
    heads: np.ndarray

    def side(self, name: str) -> np.ndarray:
        """The atoms along an axis of the layer's weights, by the name that ``Kernels.axes`` gives it."""
        if name == "middle":  # between the two halves of a separable convolution
            return np.repeat(self.source, self.layer.depth_multiplier)
        return {"source": self.source, "output": self.output, "heads": self.heads}[name]


@dataclasses.dataclass(frozen=True)
class ChannelGraph:
    """A model's channels: every call of every layer in the order of ``nodes``, the groups, and the channel id of each atom.

    ``ends`` are the ids of the inputs' and outputs' own channels.
    """

    calls: tuple[Call, ...]
    groups: tuple[Group, ...]
    roots: np.ndarray
    ends: frozenset[int]

    def layers(self) -> dict[str, Call]:
        """The first call of each layer, by name: calls of a layer with weights are tied, so it stands for the others."""
        return {call.layer.name: call for call in reversed(self.calls)}

    def remaining(self, atoms: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Positions on an axis that stay where the channels ``kept`` (by id, true or false) stay."""
        return np.flatnonzero(kept[self.roots[atoms]])


def trace(model: Any, pinned: Sequence[str] = ()) -> ChannelGraph:
    """Follow the channels of a flat functional tf_keras model; those made by the layers ``pinned`` are never cut.

    Inputs and outputs are pinned, and so is all that a layer touches of which nothing is known (attention, recurrent).
    """
    load()
    return _Walk(model, frozenset(pinned)).run()


class _Walk:
    def __init__(self, model: Any, pinned: frozenset[str]) -> None:
        self.model = model
        self.pinned = pinned
        self.atoms = Atoms()
        self.tensors: dict[int, np.ndarray] = {}
        self.calls: list[Call] = []
        self.first: dict[str, Call] = {}

    def run(self) -> ChannelGraph:
        for tensor in self.model.inputs:
            name = tensor.node.layer.name
            atoms = self.atoms.make(_width(tensor), name)
            self.atoms.pin(atoms, f"{name} is an input")
            self.tensors[id(tensor)] = atoms
        for node in nodes(self.model):
            self._visit(node.layer, list(node.keras_inputs), call_outputs(node))
        for tensor in self.model.outputs:
            self.atoms.pin(self.tensors[id(tensor)], f"{tensor.node.layer.name} is an output", foremost=True)
        roots = self.atoms.roots()
        ends = [roots[self.tensors[id(tensor)]] for tensor in (*self.model.inputs, *self.model.outputs)]
        return ChannelGraph(
            tuple(self.calls), self.atoms.groups(roots), roots, frozenset(np.concatenate(ends).tolist())
        )

    def _visit(self, layer: Any, inputs: list[Any], outputs: list[Any]) -> None:
        sources = [self.tensors[id(tensor)] for tensor in inputs]
        before = self.first.get(layer.name)
        try:
            result, heads = passage(layer, inputs, sources, outputs, self.atoms)
            results = [result]
            if before is not None:
                self._tie_calls(layer, before, sources[0], result)
                self.atoms.tie(before.heads, heads)
            call = Call(layer, sources[0], result, True, heads)
        except OpaqueError as error:
            reason = f"{layer.name}: {error}"
            results = [self.atoms.make(_width(tensor), layer.name) for tensor in outputs]
            touched = [*sources, *results] + ([before.source, before.output] if before else [])
            for atoms in touched:
                self.atoms.pin(atoms, reason)
            call = Call(layer, sources[0], results[0], False, np.zeros(0, np.int64))
        if layer.name in self.pinned:
            self.atoms.pin(np.concatenate([results[0], call.heads]), f"{layer.name} is skipped")
        for tensor, atoms in zip(outputs, results, strict=True):
            self.tensors[id(tensor)] = atoms
        self.calls.append(call)
        self.first.setdefault(layer.name, call)

    def _tie_calls(self, layer: Any, before: Call, source: np.ndarray, output: np.ndarray) -> None:
        """A layer that is called twice has one kernel (or one target shape), so both calls lose the same channels."""
        if not depends_on_width(layer):
            return
        if not before.understood or len(source) != len(before.source) or len(output) != len(before.output):
            raise OpaqueError("it is called on tensors of different widths")
        self.atoms.tie(before.source, source)
        self.atoms.tie(before.output, output)


def _width(tensor: Any) -> int:
    """Positions on the last axis; one stands for all where a tensor has no such axis, or its size is not known."""
    return int(tensor.shape[-1] or 1) if len(tensor.shape) > 1 else 1
