"""Clustered weights in flash: indices of 1 to 7 bits into tables of values, which TensorFlow Lite Micro decodes as it runs.

Its operator DECODE writes the weights into the arena before each use, which costs arena and time. A table that does not fit
the tensor's quantization gives wrong outputs without an error, so a compressed file counts only where its outputs were proved
to be those of the plain file.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from litetuner.objectives.tflm.agreement import Agreement, compare_outputs
from litetuner.objectives.tflm.interpreter import MicroRun, compress_tables, run_micro
from litetuner.spaces.errors import CandidateError
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.rewriting.slimming import repacked
from litetuner.spaces.tflite.schema import read_model
from litetuner.spaces.tflite.weights import Weight, weights_of_operators

MOST_BITS = 7
HEADER_BYTES = 16  # of a table
# What a DECODE operator adds to a file besides its table (tensors, operator, buffers), so that small tensors are left alone:
# 132 to 155 bytes in three forms of a ResNet8 (16 and 8 clusters, 80 % zeros; 26 Nov 2026).
OPERATOR_BYTES = 160


@dataclasses.dataclass(frozen=True)
class Table:
    """A weight tensor as indices of ``bits``: one table where ``axis`` is ``None``, else one for each channel of the axis."""

    tensor: int
    bits: int
    axis: int | None
    plain_bytes: int
    table_bytes: int


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A compressed file and how it compares with the plain one; ``plain`` and ``decoded`` are runs of both."""

    file: bytes
    tables: tuple[Table, ...]
    agreement: Agreement
    plain: MicroRun
    decoded: MicroRun


def find_tables(file: bytes) -> tuple[Table, ...]:
    """The int8 weights of the main graph that are smaller as indices, by the values found, a table as they are quantized."""
    operators = [
        op for op in operators_of(read_model(file)) if op.weight_index is not None and op.weight_dtype == "int8"
    ]
    weights = weights_of_operators(file, [op.index for op in operators])
    by_tensor = {weight.tensor_index: weight for weight in weights.values()}
    found = (_table(weight) for weight in by_tensor.values())
    return tuple(
        table for table in found if table is not None and table.table_bytes + OPERATOR_BYTES < table.plain_bytes
    )


def _table(weight: Weight) -> Table | None:
    values, axis = weight.values, weight.channel_axis
    by_channel = weight.scale.ndim == 1 and weight.scale.size > 1
    if weight.scale.ndim > 1 or (by_channel and axis not in (0, values.ndim - 1)):
        return None  # blockwise, or by an axis that the kernels do not decode
    slices = np.moveaxis(values, axis, 0) if by_channel else values[None]
    most = max(len(np.unique(part)) for part in slices)
    bits = max(1, (most - 1).bit_length())
    if bits > MOST_BITS:
        return None
    size = -(-values.size * bits // 8) + HEADER_BYTES + most * len(slices)
    return Table(weight.tensor_index, bits, axis if by_channel else None, values.size, size)


def compress(file: bytes, tables: Sequence[Table], inputs: Sequence[np.ndarray]) -> Compressed:
    """Compress a file and run both under the interpreter on raw ``inputs``; the caller looks at ``agreement``.

    The compressor writes equal vectors anew, so the file is slimmed again. Raises ``Refused`` or ``BuildFailed`` where the
    compressor or the interpreter fails.
    """
    made = compress_tables(file, [(table.tensor, table.bits, table.axis) for table in tables])
    small = min((repacked(made), made), key=len)
    plain, decoded = run_micro(file, inputs), run_micro(small, inputs)
    agreement = compare_outputs(plain.outputs, decoded.outputs)
    return Compressed(small, tuple(tables), agreement, plain, decoded)


@dataclasses.dataclass(frozen=True)
class Flash:
    """The file as flash holds it: ``file`` is ``None`` where the plain one is, and ``reason`` says why."""

    size: int
    file: bytes | None
    reason: str
    tables: tuple[Table, ...] = ()
    samples: int = 0
    arena_bytes: int = 0  # what decoding adds to the arena


def flash_of(file: bytes, inputs: Sequence[np.ndarray]) -> Flash:
    """The smaller of the plain and the compressed file; compressed only where all outputs were equal on ``inputs``."""
    tables = find_tables(file)
    if not tables:
        return Flash(len(file), None, "no weights have few enough values for a look-up table")
    try:
        made = compress(file, tables, inputs)
    except CandidateError as error:
        return Flash(len(file), None, f"not compressed: {error}")
    found = made.agreement
    if not found.same:
        reason = f"not compressed: {found.samples - found.equal} of {found.samples} samples gave other outputs"
        return Flash(len(file), None, f"{reason} (largest difference {found.largest:g})", tables)
    if len(made.file) >= len(file):
        return Flash(len(file), None, "the compressed file is not smaller", tables)
    more = made.decoded.arena.total - made.plain.arena.total
    return Flash(len(made.file), made.file, "", tables, found.samples, more)
