"""TensorFlow Lite Micro's interpreter on this machine: checks if a file runs, its arena and its outputs. No latency."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.target import Finding, Prediction, Target, Timing
from litetuner.objectives.tflm.agreement import FilePorts, compare_outputs
from litetuner.objectives.tflm.interpreter import POINTERS, run_micro, run_reference, version
from litetuner.spaces.data.named_arrays import pack
from litetuner.spaces.errors import BuildFailed, CandidateError, HostError, Lost, Refused
from litetuner.spaces.tflite.interpreter import real_values

NO_LATENCY = "its interpreter runs here with portable kernels, whose time says nothing about a device"
REFERENCE = "LiteRT's reference kernels"
MOST_SAMPLES = 500


@dataclasses.dataclass(frozen=True)
class Tflm(Target):
    """``samples`` is the number of samples of the search split that the interpreter also scores; 0 scores none."""

    name: ClassVar[str] = "tflm"
    alone: ClassVar[bool] = False
    by_content: ClassVar[bool] = True
    said: ClassVar[str] = f"no latency; {NO_LATENCY}."
    budgets: ClassVar[tuple[str, ...]] = ("arena_bytes",)
    objective: ClassVar[str | None] = "arena_bytes"
    memory_measurement: ClassVar[str | None] = "arena_bytes"

    samples: int = 200  # type: ignore[misc]
    timeout_seconds: float = 120.0

    def __post_init__(self) -> None:
        if not 0 <= self.samples <= MOST_SAMPLES:
            raise self.error(f"samples must be 0 to {MOST_SAMPLES}, not {self.samples}: the portable kernels are slow.")

    def describe(self) -> dict[str, Any]:
        """See ``Target.describe``. Includes the interpreter's version."""
        return super().describe() | {"version": version()}

    def check(self) -> list[Finding]:
        """See ``Target.check``: runs a tiny model."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                arena = run_micro(tiny_model.write(Path(folder)).read_bytes()).arena
        except (HostError, CandidateError) as error:
            return [Finding("interpreter", "fails", str(error))]
        text = f"tflite-micro {version()} runs a tiny model in an arena of {arena.total:,} bytes"
        return [Finding("interpreter", "works", text), Finding("latency", "note", NO_LATENCY)]

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``: measures the arena, but no latency."""
        try:
            content = file.read_bytes()
        except OSError as error:
            raise Lost(f"cannot read {file}: {error.strerror}") from error
        try:
            arena = run_micro(content, seconds=self.timeout_seconds).arena
        except Refused as error:
            return Timing(None, None, None, misfit=str(error))
        parts = {"head_bytes": arena.head, "tail_bytes": arena.tail}
        around = self._around() | {"method": f"used by the interpreter; {POINTERS}"}
        return Timing(None, None, None, {"arena_bytes": Measurement(arena.total, "B", around, extra=parts)})

    def predict(self, file: bytes, x: np.ndarray, output: str | None) -> Prediction:
        """See ``Target.predict``. The outputs are also compared with those of LiteRT's reference kernels."""
        ports = FilePorts(file)
        inputs = ports.raw_inputs(x)
        raw = run_micro(file, inputs, self.timeout_seconds).outputs
        expected = run_reference(file, inputs, self.timeout_seconds)
        about = self._around() | {
            "reference": REFERENCE if expected is not None else f"none: {REFERENCE} do not run it"
        }
        if expected is not None:
            about |= compare_outputs(raw, expected).to_json()
        real = [real_values(values, detail) for values, detail in zip(raw, ports.outputs, strict=True)]
        if len(real) == 1:
            return Prediction(real[0], about)
        named = dict(sorted(zip(ports.names(ports.outputs, 1), real, strict=True)))
        if output is not None and output not in named:
            raise BuildFailed(f"the file has no output {output!r}; it has {', '.join(named)}")
        return Prediction(pack(named) if output is None else named[output], about)

    def _around(self) -> dict[str, Any]:
        return {"target": self.name, "runtime": f"tflite-micro {version()}", "pointers": "64 bits"}
