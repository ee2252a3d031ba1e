"""An Arm Ethos-U NPU without the hardware: the compiler Vela estimates latency, memory and flash."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.options import check_path
from litetuner.objectives.targets.target import ADDRESS, Finding, Target, Timing
from litetuner.objectives.targets.vela.compiler import CPU, Compiled, compile_file, version
from litetuner.spaces.errors import BuildFailed, CandidateError, ConfigError, HostError, nearest
from litetuner.spaces.tflite.schema import read_model, tensors_of, type_name

SIZES = {"u55": (32, 64, 128, 256), "u65": (256, 512), "u85": (128, 256, 512, 1024, 2048)}  # MACs per cycle
ACCELERATORS = tuple(f"ethos-{kind}-{size}" for kind, sizes in SIZES.items() for size in sizes)
WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"


@dataclasses.dataclass(frozen=True)
class Vela(Target):
    """An accelerator such as ``ethos-u55-256``, with Vela's names of a system configuration and of a memory mode.

    ``config`` is an ini file for Vela with the user's own configurations. Nothing is measured: all numbers are
    estimates.
    """

    name: ClassVar[str] = "vela"
    alone: ClassVar[bool] = False
    by_content: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, Any]] = {
        "io": "int8",
        "steps": ("channels", "finetune", "prune", "cluster", "qat", "int8", "reconstruct"),
    }
    stores_another: ClassVar[bool] = True
    said: ClassVar[str] = "its numbers are estimates of the compiler Vela, not measurements."
    budgets: ClassVar[tuple[str, ...]] = ("latency_us", "sram_bytes", "flash_bytes")

    accelerator: str = dataclasses.field(default="ethos-u55-256", metadata=ADDRESS)
    system: str = ""
    memory: str = ""
    config: Path | None = None
    optimise: str = "Performance"
    timeout_seconds: float = 60.0

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """See ``Target.from_spec``; ``rest`` is the accelerator."""
        return cls(accelerator=rest or "ethos-u55-256", **cls.parse(options))

    def __post_init__(self) -> None:
        if self.accelerator not in ACCELERATORS:
            raise ConfigError(
                f"target vela: there is no accelerator {self.accelerator[:40]!r}{nearest(self.accelerator, ACCELERATORS)} "
                f"({', '.join(ACCELERATORS)})."
            )
        for name in ("system", "memory"):
            if set(getattr(self, name)) - set(WORD):
                raise self.error(f"{name} must be a name of Vela's configuration, not {getattr(self, name)[:40]!r}.")
        if self.config is not None:
            check_path("target vela: config", str(self.config))
        if self.optimise not in ("Performance", "Size"):
            raise self.error(f"optimise must be Performance or Size, not {self.optimise[:40]!r}.")

    @property
    def default_name(self) -> str:
        return self.accelerator

    def describe(self) -> dict[str, Any]:
        """See ``Target.describe``. Includes the compiler's version, because other versions may give other numbers."""
        ini = None if self.config is None else _sha256(self.config)
        return super().describe() | {"version": version(), "config_sha256": ini}

    def check(self) -> list[Finding]:
        """See ``Target.check``: compiles a tiny model. It is a float model, so Vela leaves it to the CPU."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                compiled = self._compile(tiny_model.write(Path(folder)))
        except (HostError, CandidateError) as error:
            return [Finding("compiler", "fails", str(error))]
        about = f"Vela {version()} compiles for {self.accelerator} ({compiled.system}, {compiled.memory})"
        defaults = [name for name in ("system", "memory") if not getattr(self, name)]
        found = [Finding("compiler", "works", about)]
        if defaults:
            text = f"{' and '.join(defaults)} not given: Vela's defaults may not be those of your chip"
            found.append(Finding("configuration", "note", text, "vela --list-configs Arm/vela.ini shows the names."))
        return found

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``. With operators on the CPU, only flash is known: Vela's time and SRAM are for the NPU."""
        try:
            compiled = self._compile(file)
        except BuildFailed as error:
            if "int4" not in _types(file):
                raise
            return Timing(None, None, None, misfit=f"it compiles no int4 weights ({error})")
        around = {
            "target": self.name,
            "estimate": f"Vela {version()}",
            "accelerator": self.accelerator,
            "system": compiled.system,
            "memory": compiled.memory,
            "clock_mhz": compiled.clock_mhz,
        }
        digest = hashlib.sha256(compiled.file).hexdigest()
        others = {"flash_bytes": Measurement(len(compiled.file), "B", around, extra={"sha256": digest})}
        if compiled.on_cpu:
            names = ", ".join(f"{count} {name}" for name, count in compiled.on_cpu.items())
            misfit = f"Vela leaves {names} to the CPU, so the time is unknown"
            return Timing(None, None, None, others, misfit)
        memory = {"dram_bytes": compiled.dram_bytes}
        others["sram_bytes"] = Measurement(compiled.sram_bytes, "B", around, extra=memory)
        extra = {"layers": [dataclasses.asdict(layer) for layer in compiled.layers], "delegates": _split(compiled)}
        return Timing(Measurement(compiled.seconds * 1e6, "us", around, extra=extra), None, None, others)

    def exported(self, file: bytes) -> dict[str, bytes]:
        """See ``Target.exported``: the compiled file, which is what the device runs."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.tflite"
            path.write_bytes(file)
            compiled = self._compile(path)
        return {} if compiled.on_cpu else {f"{self.accelerator}.tflite": compiled.file}

    def _compile(self, file: Path) -> Compiled:
        options = ["--accelerator-config", self.accelerator, "--optimise", self.optimise]
        options += ["--config", str(self.config)] if self.config else []
        options += ["--system-config", self.system] if self.system else []
        options += ["--memory-mode", self.memory] if self.memory else []
        return compile_file(file, options, self.timeout_seconds)


def _split(compiled: Compiled) -> dict[str, Any]:
    """The operations on NPU and CPU, in the format of the runner's delegates."""
    npu = sum(layer.unit != CPU for layer in compiled.layers)
    return {
        "requested": ["Ethos-U"],
        "operators": len(compiled.layers),
        "delegated": npu,
        "partitions": None,
        "quantize": 0,
        "dequantize": 0,
        "fallback": [],
    }


def _types(file: Path) -> set[str]:
    """The types of the tensors of a file; empty for a damaged file."""
    try:
        return {type_name(tensor.type) for tensor in tensors_of(read_model(file.read_bytes()))}
    except (BuildFailed, OSError):
        return set()


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HostError(f"target vela: config {path} cannot be read: {error.strerror}.") from error
