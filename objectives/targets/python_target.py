"""The base class of targets that run ``objectives/runner/runner.py``: its options, and the meaning of its exit."""

import dataclasses
import json
import math
import re
import signal
from pathlib import Path
from typing import Any

from litetuner.objectives.runner.engine import WITHOUT
from litetuner.objectives.targets.options import check_path
from litetuner.objectives.targets.target import Document, Target, Timing, steady_document, timing_of
from litetuner.spaces.errors import BuildFailed, HostError, Lost
from litetuner.spaces.store import file_sha256

CORE = re.compile(r"auto|none|[0-9]{1,4}(,[0-9]{1,4}){0,63}")
OPTIONS = re.compile(r"[^=,]+=[^,]*(,[^=,]+=[^,]*)*")
CRASHES = frozenset(getattr(signal, name, None) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"))
# Exit codes of a runner that fails by itself: those of Python and of the launcher. Any other exit code means that a
# library ended the process.
OWN_CODES = frozenset({0, 1, 2, 120, 127})
FILE_STAGES = frozenset({"load", "allocate", "input", "invoke"})


@dataclasses.dataclass(frozen=True)
class PythonTarget(Target):
    """A machine with Python and ai-edge-litert, on which the runner measures latency (see the docstring of runner.py).

    ``core`` is ``auto``, ``none`` or core numbers. ``delegate`` is the path of a delegate library on that machine, and
    ``delegate_options`` are its settings (``name=value,name=value``). ``accelerator`` is an accelerator of LiteRT
    (``cpu``, ``gpu``, ``npu``). ``tolerance`` is the desired relative half width of the intervals. ``timeout_seconds``
    limits one process. An unstable run is repeated once, and the more stable one is kept.
    """

    xnnpack: bool = True
    core: str = "auto"
    delegate: Path | None = None
    delegate_options: str = ""
    accelerator: str | None = None
    tolerance: float = 0.01
    max_seconds: float = 10.0
    timeout_seconds: float = 300.0

    def __post_init__(self) -> None:
        if not CORE.fullmatch(self.core):
            raise self.error(f"core must be auto, none or numbers such as 2,3, not {self.core!r}.")
        if self.delegate is not None:
            check_path(f"target {self.name}: delegate", str(self.delegate))
        if self.delegate_options and (self.delegate is None or not OPTIONS.fullmatch(self.delegate_options)):
            about = "delegate_options are name=value,name=value beside a delegate"
            raise self.error(f"{about}, not {self.delegate_options!r}.")
        if self.accelerator is not None and self.accelerator not in WITHOUT:
            raise self.error(f"accelerator is one of {', '.join(WITHOUT)}, not {self.accelerator!r}.")
        if self.accelerator and (self.delegate or not self.xnnpack):
            raise self.error("an accelerator chooses its delegates itself: no delegate, no xnnpack=off.")
        for name in ("tolerance", "max_seconds", "timeout_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise self.error(f"{name} must be above 0, not {getattr(self, name)!r}.")

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``. The ratio's interval and how it was computed are in ``latency_us.extra["ratio"]``."""
        return timing_of(self.name, self.measure(file, baseline, threads))

    def measure(self, file: Path, baseline: Path | None = None, threads: int = 1) -> Document:
        """The runner's document for a file, with or without a baseline; ``attempts`` is the number of runs."""
        return steady_document(lambda: self._run(file, baseline, threads))

    def _run(self, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} defines no _run()")

    def runner_arguments(self, threads: int) -> list[str]:
        """The runner's flags, without the files and the parent."""
        found = ["--threads", str(threads), "--core", self.core]
        found += ["--tolerance", str(self.tolerance), "--max-seconds", str(self.max_seconds)]
        found += ["--delegate", str(self.delegate)] if self.delegate else []
        found += [f"--delegate-option={option}" for option in self.delegate_options.split(",") if option]
        found += ["--accelerator", self.accelerator] if self.accelerator else []
        return found + ([] if self.xnnpack else ["--no-xnnpack"])


def timed_sha256(path: Path) -> str:
    """The sha256 of a file that will be timed. Raises ``Lost`` if it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise Lost(
            f"cannot read {path}: {error.strerror}. Repeat the command; missing files are made again."
        ) from error


def document_of(file: Path, code: int, output: str, messages: str) -> dict[str, Any]:
    """The runner's document. Raises ``BuildFailed``, ``Lost`` or ``HostError`` if the runner failed."""
    if code < 0:
        name = signal.Signals(-code).name
        if -code in CRASHES:
            raise BuildFailed(f"the runtime crashed with {name} on {file}, as it would crash an application")
        raise Lost(f"timing {file} was ended by {name}. SIGKILL often means that memory ran out.")
    tail = messages.strip()[-500:]
    try:
        document: dict[str, Any] = json.loads(output)
    except ValueError as error:
        if tail.rpartition("\n")[2].startswith("MemoryError"):
            raise BuildFailed(f"timing {file} ran out of memory") from error
        if code not in OWN_CODES or not tail:
            raise BuildFailed(
                f"the runtime ended with code {code} on {file}, as it would end an application"
            ) from error
        raise HostError(f"the runner ended with code {code} and no result while timing {file}: {tail}") from error
    if "error" in document:
        stage, message = document["error"]["stage"], document["error"]["message"]
        if stage in FILE_STAGES:
            raise BuildFailed(message)
        raise Lost(message) if stage == "read" else HostError(message)
    return document


def check_hashes(document: dict[str, Any], expected: dict[Path, str], baseline: Path | None, file: Path) -> None:
    """Check that the timed files are the requested ones. Raises ``Lost``."""
    for path, part in ((file, document), (baseline, document["baseline"])):
        if path is not None and (timed := part["sha256"]) != expected[path]:
            raise Lost(f"{path} changed while it was measured: {timed[:12]} was timed, not {expected[path][:12]}")
