"""Costs that are computed from the file alone: memory, MACs, and an energy estimate from a published table.

The table is from Mark Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9:
45 nm, 0.9 V. Its values are for single operations in that process; a real processor uses several times as much energy
for control. The estimate ranks files of the same model. It does not predict battery life.
"""

import collections
import dataclasses
from typing import Any

from litetuner.objectives.files.arena import ALIGNMENT, plan_arena
from litetuner.objectives.files.tensor_lifetimes import BITS
from litetuner.objectives.measurement import Measurement
from litetuner.spaces.tflite.macs import FACTOR_INPUTS, operator_macs
from litetuner.spaces.tflite.schema import as_list, element_count, operator_name, read_model, rejects_damage, type_name

ARENA = (
    "planned from the tensors' lifetimes as TensorFlow Lite Micro's greedy planner does, "
    f"{ALIGNMENT} bytes aligned, without the kernels' scratch buffers"
)
# Picojoules per operation (Horowitz 2014).
ADD_PJ = {"int8": 0.03, "int32": 0.1, "float16": 0.4, "float32": 0.9}
MULTIPLY_PJ = {"int8": 0.2, "int32": 3.1, "float16": 1.1, "float32": 3.7}
SRAM_PJ, DRAM_PJ = 100 / 8, 1300 / 8  # per byte; 64 bits cost 100 pJ from a 1 MB cache and at least 1.3 nJ from DRAM
CACHE_BYTES = 1_000_000  # constants up to this size are assumed to be read from the cache
TABLE = "Horowitz, ISSCC 2014, 45 nm, 0.9 V"

FREE = frozenset({"RESHAPE", "EXPAND_DIMS", "SQUEEZE", "BITCAST", "SHAPE"})
FLOATS = ("float32", "float16", "bfloat16", "float64")
SPARE = "float32"  # the precision that is assumed for an operator without an input tensor


def file_costs(file: bytes) -> dict[str, Measurement]:
    """The costs by name: ``arena_bytes``, ``memory_bytes``, ``macs``, and the estimate ``energy_estimate_uj``.

    ``memory_bytes`` is the arena plus the constants, which is the memory of a device without file system and caches.
    The costs have no intervals, because equal bytes give equal numbers. Raises ``BuildFailed`` for an unreadable file.
    """
    arena, work = plan_arena(file), list_work(file)
    kinds: collections.Counter[str] = collections.Counter()
    for part in work:
        kinds[part.kind] += part.macs
    plan = {name: getattr(arena, name) for name in ("variable_bytes", "live_bytes", "peak_operator")}
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


@dataclasses.dataclass(frozen=True)
class Work:
    """The work of one operator in one inference; ``kind`` is the precision of its MACs, such as ``int8*int8``."""

    operator: str
    macs: int
    bytes_moved: int
    kind: str
    energy_pj: float


@rejects_damage
def list_work(file: bytes) -> list[Work]:
    """The work of every operator: its MACs and the bytes that it moves.

    Each input is read once, and each output is written once. Moving activations costs the energy of a 1 MB cache.
    Constants cost the same if they all fit into it, else that of DRAM.
    """
    model = read_model(file)
    codes = [operator_name(code)[0] for code in model.operatorCodes or []]
    constants = {index: buffer.data for index, buffer in enumerate(model.buffers) if buffer.data is not None}
    price = SRAM_PJ if sum(map(len, constants.values())) <= CACHE_BYTES else DRAM_PJ
    return [
        _work(codes[operator.opcodeIndex], operator, graph, constants, price)
        for graph in model.subgraphs
        for operator in graph.operators
    ]


def _work(name: str, operator: Any, graph: Any, constants: dict[int, Any], price: float) -> Work:
    inputs = [None if index < 0 else graph.tensors[index] for index in as_list(operator.inputs)]
    outputs = [graph.tensors[index] for index in as_list(operator.outputs)]
    macs = operator_macs(name, operator, graph)
    kind, mac_pj, add_pj = _prices(name, inputs)
    others = 0 if macs or name in FREE else sum(element_count(tensor) for tensor in outputs)
    energy, moved = macs * mac_pj + others * add_pj, 0
    for tensor in (*inputs, *outputs) if name not in FREE else ():
        if tensor is not None:
            stored = constants.get(tensor.buffer)
            bits = BITS.get(type_name(tensor.type), 8)
            size = element_count(tensor) * bits // 8 if stored is None else len(stored)
            moved += size
            energy += size * (SRAM_PJ if stored is None else price)
    return Work(name, macs, moved, kind, energy)


def _prices(name: str, inputs: list[Any]) -> tuple[str, float, float]:
    """The precision, and the picojoules of one MAC and of one addition in this precision.

    In the table, the energy of an integer multiplication grows with the product of the widths (8 bits 0.2, 32 bits
    3.1). Other widths are computed in proportion. Integers are accumulated in 32 bits, with 16-bit activations in 64
    bits.
    """
    spread = inputs[2] if name == "TRANSPOSE_CONV" and len(inputs) > 2 else inputs[0] if inputs else None
    first = SPARE if spread is None else type_name(spread.type)
    second = first
    factor = FACTOR_INPUTS.get(name, len(inputs))
    if factor < len(inputs) and inputs[factor] is not None:
        second = type_name(inputs[factor].type)
    if first in FLOATS and second in FLOATS:
        return f"{first}*{second}", MULTIPLY_PJ["float32"] + ADD_PJ["float32"], ADD_PJ["float32"]
    # With integer weights, float activations are quantized to 8 bits first.
    widths = [8 if kind in FLOATS else 4 if kind == "int4" else BITS.get(kind, 8) for kind in (first, second)]
    product = MULTIPLY_PJ["int8"] * widths[0] * widths[1] / 64
    total = ADD_PJ["int32"] * (2 if widths[0] == 16 else 1)
    plain = ADD_PJ["float32"] if first in FLOATS else ADD_PJ["int8"] * widths[0] / 8
    return f"{first}*{second}", product + total, plain
