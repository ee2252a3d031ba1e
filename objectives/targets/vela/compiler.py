"""Run the compiler Vela as a process, and read its results: estimated time, memory, and cycles per layer."""

import csv
import dataclasses
import functools
import importlib.metadata
import importlib.util
import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litetuner.objectives.targets.limits import Ended, run_limited
from litetuner.spaces.errors import BuildFailed, HostError, Lost
from litetuner.spaces.jobs.safe_path import python_command, python_environment

PACKAGE = "ethos-u-vela"
MEMORY_BYTES = 4 << 30  # memory limit of the compiler's process; a file of 25 MB took less than 1 GB
SETTINGS = ("CliOptionError", "ConfigOptionError")  # Vela's exceptions for an unknown configuration
CPU = "CPU"


@dataclasses.dataclass(frozen=True)
class Layer:
    """One operation of the compiled file. ``cycles`` is Vela's estimate, 0 if fused into the previous operation."""

    operator: str
    unit: str  # NPU or CPU
    cycles: int


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled file. ``seconds`` is Vela's estimate for the NPU alone: it is incomplete if the CPU runs operators."""

    file: bytes
    seconds: float
    sram_bytes: int
    dram_bytes: int
    layers: tuple[Layer, ...]
    system: str
    memory: str
    clock_mhz: float

    @property
    def on_cpu(self) -> dict[str, int]:
        """The number of operators of each kind that Vela leaves to the CPU."""
        return dict(Counter(layer.operator for layer in self.layers if layer.unit == CPU))


@functools.cache
def version() -> str:
    """The compiler's version. Raises ``HostError`` if it is not installed."""
    if importlib.util.find_spec("ethosu") is None:
        raise HostError("the compiler Vela is not installed. Install it: pip install 'litetuner[vela]'")
    return importlib.metadata.version(PACKAGE)


def compile_file(file: Path, options: Sequence[str], seconds: float) -> Compiled:
    """Compile a ``.tflite``. The same bytes and options give the same result.

    Raises ``BuildFailed`` if the compiler crashes on the file, rejects it, or does not end in time; ``HostError`` if it
    is not installed or does not know the configuration; ``Lost`` if the file cannot be read.
    """
    version()
    if not file.is_file():
        raise Lost(f"cannot read {file}. Repeat the command; missing files are made again.")
    with tempfile.TemporaryDirectory(prefix="litetuner-vela-") as place:
        out = Path(place) / "out"
        # The copy has a fixed name, because Vela derives the names of its output files from it.
        source = Path(place) / "file.tflite"
        source.write_bytes(file.read_bytes())
        ended = run_limited(
            python_command(
                "-m", "ethosu.vela", str(source), "--output-dir", str(out), "--verbose-performance", *options
            ),
            seconds=seconds,
            memory_bytes=MEMORY_BYTES,
            folder=Path(place),
            environment=python_environment(),
        )
        check_ended(ended, file, seconds)
        return read_output(out, ended)


def check_ended(ended: Ended, file: Path, seconds: float) -> None:
    """Raise an exception if the compiler did not succeed, see ``compile_file``."""
    if ended.code == 0:
        return
    name = file.name
    if ended.code is None:
        raise BuildFailed(f"Vela did not end within {seconds:g} s on {name} (timeout_seconds), and was stopped")
    if any(word in ended.messages for word in SETTINGS):
        raise HostError(f"Vela does not take the target's settings: {ended.end}")
    if "No module named" in ended.messages:
        raise HostError(f"Vela does not start: {ended.end}. Install it again: pip install 'litetuner[vela]'")
    raise BuildFailed(f"Vela {ended.how} on {name}" if ended.code > 0 else f"Vela {ended.how} while it compiled {name}")


def read_output(out: Path, ended: Ended) -> Compiled:
    """Read the files that the compiler wrote. Raises ``BuildFailed`` if a file is missing or has other columns."""
    try:
        (compiled,) = out.glob("*_vela.tflite")
        (summary,) = _rows(*out.glob("*_summary_*.csv"))
        layers = tuple(
            Layer(row["Original Operator"], row["Target"], int(float(row["Op Cycles"])))
            for row in _rows(*out.glob("*_per-layer.csv"))
        )
        seconds = float(summary["inference_time"])
        if not layers or not math.isfinite(seconds):
            raise ValueError("there are no layers, or no time")
        return Compiled(
            file=compiled.read_bytes(),
            seconds=seconds,
            sram_bytes=round(1024 * float(summary["sram_memory_used"])),  # the unit of the summary is KiB
            dram_bytes=round(1024 * float(summary["dram_memory_used"])),
            layers=layers,
            system=summary["system_config"],
            memory=summary["memory_mode"],
            clock_mhz=float(summary["core_clock"]) / 1e6,
        )
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise BuildFailed(
            f"Vela {version()} wrote a result that cannot be read ({error}); it said: {ended.end}"
        ) from error


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file))
