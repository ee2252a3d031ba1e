"""Run TensorFlow Lite Micro's interpreter in a separate process: outputs, arena, and files that it cannot run."""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.targets.limits import Ended, run_limited
from litetuner.spaces.errors import BuildFailed, CandidateError, HostError, Refused
from litetuner.spaces.jobs.safe_path import python_command, python_environment

PACKAGE = "tflite-micro"
CHILD = "litetuner.objectives.tflm.child"
MEMORY_BYTES = 4 << 30
SLOWER = "A target tflm takes fewer samples, or a longer timeout_seconds."
SECONDS = 120.0  # time limit of one process; a sample of a ResNet8 takes 14 ms
ALLOCATION = re.compile(r"\[RecordingMicroAllocator\] Arena allocation (total|head|tail) (\d+) bytes")
MISSING = re.compile(r"Didn't find op for (?:builtin|custom) opcode '([^']*)'")
POINTERS = "measured with pointers of 64 bits: the tail, which holds the interpreter's own records, is smaller on a 32-bit device"


@dataclasses.dataclass(frozen=True)
class Arena:
    """The bytes that the interpreter used: ``head`` for tensors and scratch buffers, ``tail`` for its own records."""

    total: int
    head: int
    tail: int


@dataclasses.dataclass(frozen=True)
class MicroRun:
    """Raw outputs (n, *output) by position, and the arena."""

    outputs: tuple[np.ndarray, ...]
    arena: Arena


def installed() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None


@functools.cache
def version() -> str:
    """The version of the package. Raises ``HostError`` if it is not installed."""
    if not installed():
        raise HostError("TensorFlow Lite Micro is not installed. Install it: pip install --pre 'litetuner[tflm]'")
    return importlib.metadata.version(PACKAGE)


def run_micro(file: bytes, inputs: Sequence[np.ndarray] | None = None, seconds: float = SECONDS) -> MicroRun:
    """Run raw samples (each (n, *input), by position; ``None``: one sample of zeros) through a file.

    Raises ``Refused`` for an operator without a kernel and for a file that the interpreter cannot prepare or run,
    ``BuildFailed`` if it crashes or does not end in time, and ``HostError`` if it is not installed.
    """
    version()
    outputs, messages = _run("run", file, inputs, seconds)
    return MicroRun(outputs, read_arena(messages))


def run_reference(file: bytes, inputs: Sequence[np.ndarray], seconds: float = SECONDS) -> tuple[np.ndarray, ...] | None:
    """Raw outputs of LiteRT's reference kernels; ``None`` if they cannot run the file (they abort for some files)."""
    try:
        return _run("reference", file, inputs, seconds)[0]
    except CandidateError:
        return None


def _run(
    verb: str, file: bytes, inputs: Sequence[np.ndarray] | None, seconds: float
) -> tuple[tuple[np.ndarray, ...], str]:
    with tempfile.TemporaryDirectory(prefix="litetuner-tflm-") as place:
        given, out = Path(place) / "inputs.npz", Path(place) / "outputs.npz"
        if inputs is not None:
            named: dict[str, Any] = {str(at): values for at, values in enumerate(inputs)}
            np.savez(given, **named)
        ended = _child(Path(place), verb, file, "-" if inputs is None else str(given), out, seconds)
        with np.load(out, allow_pickle=False) as stored:
            return tuple(stored[str(at)] for at in range(len(stored.files))), ended.messages


def compress_tables(file: bytes, tables: Sequence[tuple[int, int, int | None]], seconds: float = SECONDS) -> bytes:
    """The file with each (tensor, bits, axis) stored as indices into look-up tables, one per tensor for axis ``None``.

    Raises the same exceptions as ``run_micro``.
    """
    version()
    with tempfile.TemporaryDirectory(prefix="litetuner-tflm-") as place:
        given, out = Path(place) / "tables.json", Path(place) / "compressed.tflite"
        given.write_text(json.dumps(list(tables)))
        _child(Path(place), "compress", file, str(given), out, seconds)
        return out.read_bytes()


def read_arena(messages: str) -> Arena:
    """Read the arena from the interpreter's list of allocations. Raises ``BuildFailed`` if it is missing."""
    found = {name: int(size) for name, size in ALLOCATION.findall(messages)}
    if found.keys() != {"total", "head", "tail"}:
        raise BuildFailed(
            f"TensorFlow Lite Micro {version()} did not report its allocations; it said: {messages[-300:]}"
        )
    return Arena(**found)


def _child(place: Path, verb: str, file: bytes, given: str, out: Path, seconds: float) -> Ended:
    source = place / "file.tflite"
    source.write_bytes(file)
    ended = run_limited(
        python_command("-m", CHILD, verb, str(source), given, str(out)),
        seconds=seconds,
        memory_bytes=MEMORY_BYTES,
        folder=place,
        environment=python_environment(),
    )
    if ended.code == 0 and out.is_file():
        return ended
    if ended.code is None:
        raise BuildFailed(f"TensorFlow Lite Micro did not end within {seconds:g} s, and was stopped. {SLOWER}")
    if ended.code < 0:
        raise BuildFailed(f"TensorFlow Lite Micro {ended.how}, as it would on a device")
    missing = sorted(set(MISSING.findall(ended.messages)))
    if missing:
        raise Refused(f"TensorFlow Lite Micro has no kernel for {', '.join(missing)}")
    raise Refused(f"TensorFlow Lite Micro does not run the file: {_said(ended)}")


def _said(ended: Ended) -> str:
    """The interpreter's own message, which comes before Python's traceback; or else the last line."""
    before = ended.messages.partition("Traceback (most recent call last)")[0]
    lines = [line.strip() for line in before.splitlines() if line.strip() and "Recording" not in line]
    return lines[0][:300] if lines else ended.end
