"""MACs of a tf_keras model for any choice of its channels, without building the pruned model."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from litetuner.spaces.channels.groups import ChannelGraph
from litetuner.spaces.channels.layer_rules import KERNELS
from litetuner.spaces.channels.surgery import weight_name
from litetuner.spaces.models.keras_graph import first_input, nodes
from litetuner.spaces.models.macs import weight_uses


@dataclasses.dataclass(frozen=True)
class Term:
    """The MACs of one kernel: ``each`` for every combination of the channels (ids) along its ``axes``."""

    each: int
    axes: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class ChannelCost:
    """Counts MACs of kernels for one sample; axes of unknown size (such as a free image size) count as 1."""

    terms: list[Term]

    @staticmethod
    def of_model(model: Any, graph: ChannelGraph) -> ChannelCost:
        terms: list[Term] = []
        for node, call in zip(nodes(model), graph.calls, strict=True):
            kernels = KERNELS.get(type(call.layer).__name__)
            if kernels is None or not call.understood:
                continue
            before, after = ([size or 1 for size in tensor.shape] for tensor in (first_input(node), node.outputs))
            uses = weight_uses(call.layer, before, after)
            weights = {weight_name(call.layer, weight): weight for weight in call.layer.weights}
            for name, axes in kernels.axes.items():
                if name.endswith("kernel"):
                    shape = weights[name].shape
                    fixed = [size for axis, size in enumerate(shape) if len(shape) - axis not in axes]
                    sides = tuple(graph.roots[call.side(side)] for side in axes.values())
                    terms.append(Term(uses * math.prod(fixed), sides))
        return ChannelCost(terms)

    def total(self, kept: np.ndarray) -> int:
        """The MACs of the model with the channels ``kept`` (by id, true or false)."""
        return sum(term.each * math.prod(int(kept[side].sum()) for side in term.axes) for term in self.terms)

    def of(self, channels: np.ndarray) -> ChannelCost:
        """The cost of only the kernels that use some of these channels: enough to compute what their removal saves."""
        marked = set(channels.tolist())
        return ChannelCost(
            [term for term in self.terms if any(marked.intersection(side.tolist()) for side in term.axes)]
        )
