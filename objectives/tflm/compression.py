"""Clustered weights in flash: indices of 1 to 7 bits into look-up tables, which TensorFlow Lite Micro decodes.

Its operator DECODE writes the weights into the arena before each use, which costs arena memory and time. A table that
does not match the tensor's quantization gives wrong outputs without an error. Therefore a compressed file is used only
if its outputs are verified to be equal to those of the plain file.
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
HEADER_BYTES = 16  # header of a table
# The bytes that a DECODE operator adds to a file in addition to its table (tensors, operator, buffers). Therefore small
# tensors are not compressed. Measured: 132 to 155 bytes in three versions of a ResNet8 (16 and 8 clusters, 80 %
# sparsity; 2026-11-26).
OPERATOR_BYTES = 160


@dataclasses.dataclass(frozen=True)
class Table:
    """A weight tensor as indices of ``bits`` bits: one table if ``axis`` is ``None``, else one per channel of it."""

    tensor: int
    bits: int
    axis: int | None
    plain_bytes: int
    table_bytes: int


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A compressed file and its agreement with the plain file; ``plain`` and ``decoded`` are the runs of both."""

    file: bytes
    tables: tuple[Table, ...]
    agreement: Agreement
    plain: MicroRun
    decoded: MicroRun


def find_tables(file: bytes) -> tuple[Table, ...]:
    """The tables for all int8 weights of the main graph that become smaller as indices.

    A tensor that is quantized per channel gets one table per channel, otherwise one table.
    """
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
        return None  # blockwise quantization, or an axis that the kernels cannot decode
    slices = np.moveaxis(values, axis, 0) if by_channel else values[None]
    most = max(len(np.unique(part)) for part in slices)
    bits = max(1, (most - 1).bit_length())
    if bits > MOST_BITS:
        return None
    size = -(-values.size * bits // 8) + HEADER_BYTES + most * len(slices)
    return Table(weight.tensor_index, bits, axis if by_channel else None, values.size, size)


def compress(file: bytes, tables: Sequence[Table], inputs: Sequence[np.ndarray]) -> Compressed:
    """Compress a file, and run both files with the interpreter on raw ``inputs``. The caller must check ``agreement``.

    The compressor writes duplicate vectors, so the file is slimmed again. Raises ``Refused`` or ``BuildFailed`` if the
    compressor or the interpreter fails.
    """
    made = compress_tables(file, [(table.tensor, table.bits, table.axis) for table in tables])
    small = min((repacked(made), made), key=len)
    plain, decoded = run_micro(file, inputs), run_micro(small, inputs)
    agreement = compare_outputs(plain.outputs, decoded.outputs)
    return Compressed(small, tuple(tables), agreement, plain, decoded)


@dataclasses.dataclass(frozen=True)
class Flash:
    """The file that is stored in flash. ``file`` is ``None`` for the plain file, and ``reason`` says why."""

    size: int
    file: bytes | None
    reason: str
    tables: tuple[Table, ...] = ()
    samples: int = 0
    arena_bytes: int = 0  # arena bytes that decoding adds


def flash_of(file: bytes, inputs: Sequence[np.ndarray]) -> Flash:
    """The smaller of the plain and the compressed file; compressed only if all outputs are equal on ``inputs``."""
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
