"""Files for devices, made from the measured file: compiled for an NPU, or with weights stored as look-up tables."""

import dataclasses
import hashlib

import numpy as np

from litetuner.objectives.tflm.agreement import FilePorts
from litetuner.objectives.tflm.compression import flash_of
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial
from litetuner.spaces.data.arrays import open_split
from litetuner.spaces.errors import LitetunerError, RunError

# A file with look-up tables is written only if its outputs are the same on this many samples of the search split.
SAMPLES = 200
# The memory that the interpreter needs besides the planned tensors, for scratch buffers and its own records. It was 1.6
# to 30 kB for the networks in docs/how-to/microcontrollers.md, and grows with the number of operators.
SPARE_BYTES = 32 * 1024
ROUNDED_TO = 1024  # bytes; arena sizes are multiples of this


@dataclasses.dataclass(frozen=True)
class DeviceFile:
    """A file for a device.

    ``suffix`` ends its name, ``about`` says how it was made, ``npu`` is its accelerator, if any.
    """

    suffix: str
    content: bytes
    about: str
    npu: str = ""


def device_files(record: RunRecord, trial: Trial, content: bytes) -> list[DeviceFile]:
    """The files for the run's NPUs, then the file with look-up tables. The first one is used for the C array.

    Raises ``RunError`` if a file cannot be made, or differs from the file that the trial measured.
    """
    found = []
    for item in record.config.named_targets:
        try:
            made = item.target.exported(content)
        except LitetunerError as error:
            raise RunError(f"{record.folder.path}: the file for {item.name} cannot be made again: {error}") from error
        for suffix, compiled in made.items():
            measured = trial.measurements.get(f"flash_bytes:{item.name}")
            if measured is not None and measured.extra.get("sha256") != hashlib.sha256(compiled).hexdigest():
                estimate = measured.environment.get("estimate", "the compiler")
                raise RunError(
                    f"{record.folder.path}: trial {trial.number} was measured with {estimate}, and what is installed now "
                    f"makes another file for {item.name}. Install that version, or search again."
                )
            npu = suffix.removesuffix(".tflite")
            found.append(DeviceFile(f"-{suffix}", compiled, f"compiled for {npu}", npu))
    flash = trial.measurements.get("flash_bytes")
    if flash is not None and "file" in flash.extra:
        found.append(_with_tables(record, trial, content))
    return found


def _with_tables(record: RunRecord, trial: Trial, content: bytes) -> DeviceFile:
    where = f"{record.folder.path}: trial {trial.number}: the file with look-up tables"
    try:
        x, _ = open_split(record.folder.blobs, record.data.arrays, "search")
        found = flash_of(content, FilePorts(content).raw_inputs(np.asarray(x[:SAMPLES])))
    except LitetunerError as error:
        raise RunError(f"{where} cannot be made again: {error}") from error
    if found.file is None:
        raise RunError(f"{where} cannot be exported: {found.reason}. Export with --size file, or another trial.")
    return DeviceFile(
        "-lut.tflite",
        found.file,
        f"{len(found.tables)} weight tensors as look-up tables, outputs equal on {found.samples} samples",
    )


def arena_of(trial: Trial, npu: str) -> tuple[int, str]:
    """The size of the example's arena in bytes, and a text that says where this number comes from."""
    kind = "sram_bytes:" if npu else "arena_bytes:"
    told = next((found.value for name, found in trial.measurements.items() if name.startswith(kind)), None)
    if told is not None and not npu:
        return _rounded(told), "used by the interpreter on a machine with 64-bit pointers: a 32-bit device needs less"
    source = "planned tensors" if told is None else "the compiler's estimate of SRAM"
    size = _rounded((told or trial.value("arena_bytes") or 0.0) + SPARE_BYTES)
    return size, f"{source}, and {SPARE_BYTES} bytes for the interpreter: reduce it to what is used"


def _rounded(size: float) -> int:
    return int(-(-size // ROUNDED_TO)) * ROUNDED_TO
