"""The files that a device holds besides the measured one: compiled for an NPU, or with look-up tables for its weights."""

import dataclasses
import hashlib

import numpy as np

from litetuner.objectives.tflm.agreement import FilePorts
from litetuner.objectives.tflm.compression import flash_of
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial
from litetuner.spaces.data.arrays import open_split
from litetuner.spaces.errors import LitetunerError, RunError

SAMPLES = 200  # of the search split, whose outputs must be the same before a file with look-up tables is written
# What the interpreter needs besides the planned tensors: scratch buffers and its own records. It was 1.6 to 30 kB for the
# networks in docs/how-to/microcontrollers.md, the more the more operators there are.
SPARE_BYTES = 32 * 1024
ROUNDED_TO = 1024


@dataclasses.dataclass(frozen=True)
class DeviceFile:
    """A file by the end of its name, and how it was made. ``npu`` is the accelerator that it is compiled for."""

    suffix: str
    content: bytes
    about: str
    npu: str = ""


def device_files(record: RunRecord, trial: Trial, content: bytes) -> list[DeviceFile]:
    """The files for the run's NPUs, and the one with look-up tables; the first is what a firmware holds.

    Raises ``RunError`` where one is not what the trial measured.
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
    """The arena of the example, and in words where it is from."""
    kind = "sram_bytes:" if npu else "arena_bytes:"
    told = next((found.value for name, found in trial.measurements.items() if name.startswith(kind)), None)
    if told is not None and not npu:
        return _rounded(told), "used by the interpreter on a machine with 64-bit pointers: a 32-bit device needs less"
    source = "planned tensors" if told is None else "the compiler's estimate of SRAM"
    size = _rounded((told or trial.value("arena_bytes") or 0.0) + SPARE_BYTES)
    return size, f"{source}, and {SPARE_BYTES} bytes for the interpreter: reduce it to what is used"


def _rounded(size: float) -> int:
    return int(-(-size // ROUNDED_TO)) * ROUNDED_TO
