"""The tensor arena: the memory for all intermediate tensors, planned in the same way as the runtime plans it.

A tensor must be in memory from the operator that writes it to the last operator that reads it. The planner of
TensorFlow Lite Micro (``GreedyMemoryPlanner``) places the tensors from the largest to the smallest. It puts each tensor
into the first gap between the tensors that are in memory at the same time. Finding the optimal plan is NP-complete.
This plan is the one of the runtime, so it is what a device needs.

The plan does not include scratch buffers of operators, because only kernels know them, nor the interpreter's own
records. On microcontrollers these take some kB, and ``interpreter.arena_used_bytes()`` reports them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from litetuner.objectives.files.tensor_lifetimes import Lifetime, find_lifetimes
from litetuner.spaces.tflite.schema import read_model, rejects_damage

ALIGNMENT = 16  # bytes; MicroArenaBufferAlignment


@dataclasses.dataclass(frozen=True)
class Arena:
    """The plan of a file. ``total_bytes`` is the size of the arena, including variables (states of recurrent layers).

    ``live_bytes`` is the maximum memory of all tensors that are needed at the same time, a lower bound for any plan.
    This maximum is reached at ``peak_operator``.
    """

    total_bytes: int
    live_bytes: int
    variable_bytes: int
    constant_bytes: int
    peak_operator: str


@rejects_damage
def plan_arena(file: bytes) -> Arena:
    """Plan the tensors of a ``.tflite``. A dimension of unknown size counts with its size in the file, 1 for a batch.

    Raises ``BuildFailed`` for an unreadable file, and for tensors whose size is unknown before the file runs (strings).
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
    """The start of each tensor in the arena, in bytes. The sizes must already be aligned."""
    offsets: dict[int, int] = {}
    # Of tensors with equal size, the last one is placed first: the planner fills its list from the end, then sorts it.
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
    """Bytes of weights and other constants in the file; a buffer that several tensors use counts once."""
    buffers = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    return sum(len(model.buffers[index].data) for index in buffers if model.buffers[index].data is not None)


def _first_gap(beside: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the first gap of at least ``size`` between spans (sorted by their start), or else the end of all."""
    end = 0
    for start, stop in beside:
        if start - end >= size:
            break
        end = max(end, stop)
    return end


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
