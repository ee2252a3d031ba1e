"""The tensor arena: how many bytes all intermediate tensors need at once, planned as the runtime plans them.

Every tensor that an operator writes lives from there to its last use. The planner of TensorFlow Lite Micro
(``GreedyMemoryPlanner``) takes them from the largest to the smallest and puts each into the first gap between those that
live at the same time. Finding the best plan is NP-complete; this one is the runtime's, so it is what a device needs.

Not in it, since only kernels know them: scratch buffers of operators, and the interpreter's own records (on microcontrollers
some kB; ``interpreter.arena_used_bytes()`` reports them there).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from litetuner.objectives.files.tensor_lifetimes import Lifetime, find_lifetimes
from litetuner.spaces.tflite.schema import read_model, rejects_damage

ALIGNMENT = 16  # bytes; MicroArenaBufferAlignment


@dataclasses.dataclass(frozen=True)
class Arena:
    """The plan of a file. ``total_bytes`` is the arena's size, variables (states of recurrent layers) included.

    ``live_bytes`` is the most that lives at any one time, below which no plan can be; ``peak_operator`` is where that is.
    """

    total_bytes: int
    live_bytes: int
    variable_bytes: int
    constant_bytes: int
    peak_operator: str


@rejects_damage
def plan_arena(file: bytes) -> Arena:
    """Plan the tensors of a ``.tflite``. Free sizes (-1) count as the size stored in the file, which is 1 for a batch.

    Raises ``BuildFailed`` for an unreadable file and for tensors whose size is not known before the file runs (text).
    """
    model = read_model(file)
    found = find_lifetimes(model)
    tensors = [dataclasses.replace(life, size=_align(life.size)) for life in found.tensors]
    variables = sum(_align(size) for size in found.variables)
    ends = [offset + life.size for offset, life in zip(plan_offsets(tensors), tensors, strict=True)]
    live = [sum(life.size for life in tensors if life.first <= step <= life.last) for step in range(found.steps + 1)]
    peak = max(range(len(live)), key=live.__getitem__)
    return Arena(
        total_bytes=max(ends, default=0) + variables,
        live_bytes=live[peak] + variables,
        variable_bytes=variables,
        constant_bytes=constant_bytes(model),
        peak_operator=found.names.get(peak, "input"),
    )


def plan_offsets(tensors: Sequence[Lifetime]) -> list[int]:
    """Where each tensor starts, in bytes. Sizes are those to be reserved, so aligned already."""
    offsets: dict[int, int] = {}
    # Of equal sizes the last comes first: the planner fills its list from the end before it sorts.
    for index in sorted(range(len(tensors)), key=lambda index: (-tensors[index].size, -index)):
        life = tensors[index]
        beside = sorted(
            (offset, offset + tensors[other].size)
            for other, offset in offsets.items()
            if tensors[other].first <= life.last and life.first <= tensors[other].last
        )
        offsets[index] = _first_gap(beside, life.size)
    return [offsets[index] for index in range(len(tensors))]


def constant_bytes(model: Any) -> int:
    """Bytes of weights and other constants as the file stores them; a buffer that several tensors use counts once."""
    buffers = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    return sum(len(model.buffers[index].data) for index in buffers if model.buffers[index].data is not None)


def _first_gap(beside: Sequence[tuple[int, int]], size: int) -> int:
    """The first gap of at least ``size`` between spans in the order of their start; else behind them all."""
    end = 0
    for start, stop in beside:
        if start - end >= size:
            break
        end = max(end, stop)
    return end


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
