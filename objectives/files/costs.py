"""Costs that can be computed from a file alone: memory, MACs, an estimate of energy."""

from __future__ import annotations

import collections

from litetuner.objectives.files.arena import MICRO, plan_arena
from litetuner.objectives.files.energy_estimate import TABLE, list_work
from litetuner.objectives.measurement import Measurement

ARENA = (
    "planned from the tensors' lifetimes as TensorFlow Lite Micro's greedy planner does, "
    f"{MICRO.alignment} bytes aligned, without the kernels' scratch buffers"
)


def file_costs(file: bytes) -> dict[str, Measurement]:
    """Exact numbers by name: ``arena_bytes``, ``memory_bytes``, ``macs``, and the estimate ``energy_estimate_uj``.

    ``memory_bytes`` is the arena and the constants, so what a device without a file system and caches must hold. None of them
    has an interval: the same bytes give the same numbers. Raises ``BuildFailed`` for an unreadable file.
    """
    arena, work = plan_arena(file), list_work(file)
    kinds: collections.Counter[str] = collections.Counter()
    for part in work:
        kinds[part.kind] += part.macs
    plan = {
        "variable_bytes": arena.variable_bytes,
        "live_bytes": arena.live_bytes,
        "peak_operator": arena.peak_operator,
    }
    moved = sum(part.bytes_moved for part in work)
    energy = sum(part.energy_pj for part in work) / 1e6
    estimate = f"an estimate, not measured: operations and bytes moved, priced by {TABLE}"
    return {
        "arena_bytes": Measurement(arena.total_bytes, "bytes", {"method": ARENA}, extra=plan),
        "memory_bytes": Measurement(
            arena.total_bytes + arena.constant_bytes,
            "bytes",
            {"method": f"arena ({ARENA}) and constants"},
            extra={"arena_bytes": arena.total_bytes, "constant_bytes": arena.constant_bytes},
        ),
        "macs": Measurement(
            sum(part.macs for part in work),
            "MAC",
            {"method": "counted from the shapes in the file"},
            extra={"by_precision": {kind: count for kind, count in kinds.items() if count}},
        ),
        "energy_estimate_uj": Measurement(energy, "uJ", {"method": estimate}, extra={"bytes_moved": moved}),
    }
