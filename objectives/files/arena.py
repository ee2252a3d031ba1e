"""The tensor arena: how many bytes all intermediate tensors need at once, planned as the runtime plans them.

Every tensor that an operator writes lives from there to its last use. The planner of TensorFlow Lite Micro
(``GreedyMemoryPlanner``) takes them from the largest to the smallest and puts each into the first gap between those that
live at the same time. Finding the best plan is NP-complete; this one is the runtime's, so it is what a device needs.

Not in it, since only kernels know them: scratch buffers of operators, and the interpreter's own records (on microcontrollers
some kB; ``interpreter.arena_used_bytes()`` reports them there).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from litetuner.objectives.files.tensor_lifetimes import Lifetime, find_lifetimes
from litetuner.spaces.tflite.schema import read_model, rejects_damage


@dataclasses.dataclass(frozen=True)
class Planner:
    """How a runtime plans. ``MICRO`` is TensorFlow Lite Micro's, ``LITE`` that of LiteRT's interpreter without delegates.

    LiteRT also lets some elementwise operators write over an input that no other operator reads; that is not planned here.
    """

    alignment: int
    best_fit: bool = False  # the tightest gap instead of the first one
    keeps_inputs: bool = False  # inputs are never overwritten
    whole_life_first: bool = False  # what lives from start to end is placed before all others, in order of its index
    shares_reshapes: bool = False  # a reshape gives its input another shape instead of copying it


MICRO = Planner(alignment=16)  # MicroArenaBufferAlignment
LITE = Planner(alignment=64, best_fit=True, keeps_inputs=True, whole_life_first=True, shares_reshapes=True)


@dataclasses.dataclass(frozen=True)
class Arena:
    """The plan of a file. ``total_bytes`` is the arena's size, variables (states of recurrent layers) included.

    ``live_bytes`` is the most that lives at any one time, below which no plan can be; ``peak_operator`` is where that is.
    ``offsets`` are those of the tensors by (subgraph, index).
    """

    total_bytes: int
    live_bytes: int
    variable_bytes: int
    constant_bytes: int
    peak_operator: str
    offsets: dict[tuple[int, int], int]


@rejects_damage
def plan_arena(file: bytes, planner: Planner = MICRO) -> Arena:
    """Plan the tensors of a ``.tflite``. Free sizes (-1) count as the size stored in the file, which is 1 for a batch.

    Raises ``BuildFailed`` for an unreadable file and for tensors whose size is not known before the file runs (text).
    """
    model = read_model(file)
    found = find_lifetimes(model, keeps_inputs=planner.keeps_inputs, shares_reshapes=planner.shares_reshapes)
    tensors = [dataclasses.replace(life, size=_align(life.size, planner.alignment)) for life in found.tensors]
    offsets = plan_offsets(tensors, planner)
    variables = sum(_align(size, planner.alignment) for size in found.variables)
    ends = [offset + life.size for offset, life in zip(offsets, tensors, strict=True)]
    live = [sum(life.size for life in tensors if life.first <= step <= life.last) for step in range(found.steps + 1)]
    peak = max(range(len(live)), key=live.__getitem__)
    return Arena(
        total_bytes=max(ends, default=0) + variables,
        live_bytes=live[peak] + variables,
        variable_bytes=variables,
        constant_bytes=constant_bytes(model),
        peak_operator=found.names.get(peak, "input"),
        offsets={life.tensor: offset for life, offset in zip(tensors, offsets, strict=True)},
    )


def plan_offsets(tensors: Sequence[Lifetime], planner: Planner = MICRO) -> list[int]:
    """Where each tensor starts, in bytes. Sizes are those to be reserved, so aligned already."""
    last = max((life.last for life in tensors), default=0)

    def rank(index: int) -> tuple[Any, ...]:
        life = tensors[index]
        if planner.whole_life_first:
            whole = life.first == min(0, life.first) and life.last >= last
            return (0, life.tensor) if whole else (1, -life.size, life.first, life.tensor)
        return (-life.size, index)

    offsets: dict[int, int] = {}
    for index in sorted(range(len(tensors)), key=rank):
        life = tensors[index]
        beside = sorted(
            (offset, offset + tensors[other].size)
            for other, offset in offsets.items()
            if tensors[other].first <= life.last and life.first <= tensors[other].last
        )
        offsets[index] = _gap(beside, life.size, planner.best_fit)
    return [offsets[index] for index in range(len(tensors))]


def constant_bytes(model: Any) -> int:
    """Bytes of weights and other constants as the file stores them; a buffer that several tensors use counts once."""
    buffers = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    return sum(len(model.buffers[index].data) for index in buffers if model.buffers[index].data is not None)


def _gap(beside: Sequence[tuple[int, int]], size: int, best_fit: bool) -> int:
    """The first or the tightest gap of at least ``size`` between spans in the order of their start; else behind them all."""
    found: tuple[int, int] | None = None
    end = 0
    for start, stop in beside:
        if start - end >= size and (found is None or start - end < found[0]):
            found = (start - end, end)
            if not best_fit:
                break
        end = max(end, stop)
    return end if found is None else found[1]


def _align(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
