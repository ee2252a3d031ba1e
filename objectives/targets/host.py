"""The machine that litetuner runs on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from litetuner.objectives import runner
from litetuner.objectives.measurement import Measurement
from litetuner.objectives.target import Finding, Target, Timing
from litetuner.spaces.errors import BuildFailed, HostError, Lost

# What the child may see of our environment: where Python and its libraries are, and the language of messages. Variables that
# change how a library computes (OMP_*, TF_*, MALLOC_*, GLIBC_TUNABLES) are left behind, or they would change the latency unseen.
KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "SYSTEMROOT",
    "TMPDIR",
    "TEMP",
)
CRASHES = frozenset(getattr(signal, name, None) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"))
FILE_STAGES = frozenset({"load", "allocate", "input", "invoke"})


@dataclasses.dataclass(frozen=True)
class Host(Target):
    """Runs ``objectives/runner.py`` in a fresh process (its docstring says how it measures).

    ``tolerance`` is the wanted half width of the intervals, ``core`` is ``auto``, ``none`` or core numbers, ``timeout_seconds``
    bounds one process. A run that calls itself unstable is repeated once, and the steadier of the two is kept.
    """

    name: ClassVar[str] = "host"
    xnnpack: bool = True
    core: str = "auto"
    tolerance: float = 0.01
    max_seconds: float = 10.0
    timeout_seconds: float = 300.0

    def check(self) -> list[Finding]:
        """See ``Target.check``."""
        return [Finding(self.name, "works", "this machine")]

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``. The ratio's interval and how it was formed stand in ``latency_us.extra["ratio"]``."""
        document = self.measure(file, baseline, threads)
        this, base = _measurement(document, document), _measurement(document["baseline"], document)
        return Timing(this, base, document["ratio"]["value"])

    def measure(self, file: Path, baseline: Path | None = None, threads: int = 1) -> dict[str, Any]:
        """The runner's document for a file, with or without a baseline; ``attempts`` says how often it was measured."""
        first = self._run(file, baseline, threads)
        if first["stable"]:
            return first | {"attempts": 1}
        second = self._run(file, baseline, threads)
        return min(first, second, key=_unsteadiness) | {"attempts": 2}

    def _run(self, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
        expected = {path: _sha256(path) for path in (file, baseline) if path is not None}
        argv = [sys.executable, "-P", str(Path(runner.__file__).resolve()), str(file.absolute())]
        argv += ["--baseline", str(baseline.absolute())] if baseline else []
        argv += ["--threads", str(threads), "--core", self.core, "--parent", str(os.getpid())]
        argv += ["--tolerance", str(self.tolerance), "--max-seconds", str(self.max_seconds)]
        argv += [] if self.xnnpack else ["--no-xnnpack"]
        document = _result(file, *_finish(argv, self.timeout_seconds))
        parts = (document, document["baseline"])
        for path, part in zip((file, baseline), parts, strict=True):
            if path is not None and part["sha256"] != expected[path]:
                raise Lost(
                    f"{path} changed while it was measured: {part['sha256'][:12]} was timed, not {expected[path][:12]}"
                )
        return document


def _finish(argv: list[str], timeout_seconds: float) -> tuple[int, str, str]:
    """Run a command in a session of its own; returns exit code, standard output and error. It never outlives this call."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # The runner asks to die with this process; a signal to our terminal's group does not reach it, so it is killed below.
    child = subprocess.Popen(argv, env=environment, text=True, errors="replace", start_new_session=True, **pipes)
    try:
        output, messages = child.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise Lost(
            f"timing {argv[3]} took more than {timeout_seconds:g} s and was stopped. Is the machine overloaded?"
        ) from error
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    return child.returncode, output, messages


def _result(file: Path, code: int, output: str, messages: str) -> dict[str, Any]:
    """The document, or the error that the child's end stands for."""
    if code < 0:
        name = signal.Signals(-code).name
        if -code in CRASHES:
            raise BuildFailed(f"the runtime crashed with {name} on {file}, as it would crash an application")
        raise Lost(f"timing {file} was ended by {name}. SIGKILL often means that memory ran out.")
    tail = messages.strip()[-500:]
    try:
        document: dict[str, Any] = json.loads(output)
    except ValueError as error:
        raise HostError(f"the runner ended with code {code} and no result while timing {file}: {tail}") from error
    if "error" in document:
        stage, message = document["error"]["stage"], document["error"]["message"]
        if stage in FILE_STAGES:
            raise BuildFailed(message)
        raise Lost(message) if stage == "read" else HostError(message)
    return document


def _measurement(part: dict[str, Any], document: dict[str, Any]) -> Measurement:
    found = dict(part["latency_us"])
    value, interval, blocks = found.pop("value"), found.pop("interval"), found.pop("blocks")
    about = {name: document[name] for name in ("stable", "instability", "attempts", "ratio")}
    extra = found | about | {"sha256": part["sha256"]}
    return Measurement(
        value,
        "us",
        {"target": "host"} | document["environment"],
        tuple(interval) if interval else None,
        tuple(blocks),
        extra,
    )


def _unsteadiness(document: dict[str, Any]) -> tuple[bool, float]:
    """Stable runs first, then by the relative width of the ratio's interval, or of the value's where there is no ratio."""
    found = document["ratio"] or document["latency_us"]
    low, high = found["interval"] or (0.0, math.inf)
    return (not document["stable"], (high - low) / found["value"])


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise Lost(
            f"cannot read {path}: {error.strerror}. Repeat the command; what is missing is made again."
        ) from error
