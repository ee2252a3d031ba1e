"""The user's own program measures a file: the client of a board farm, a vendor's profiler. Its contract is version 1.

The program gets one JSON object on standard input and prints one on standard output. docs/how-to/targets.md describes
both objects. The program runs without a shell, with limits, in a temporary folder.
"""

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.connection import Dropped, retry
from litetuner.objectives.targets.limits import Ended, run_limited
from litetuner.objectives.targets.options import check_path
from litetuner.objectives.targets.python_target import timed_sha256
from litetuner.objectives.targets.target import ADDRESS, Finding, Target, Timing
from litetuner.spaces.errors import BuildFailed, CandidateError, ConfigError, HostError
from litetuner.spaces.store import file_sha256

CONTRACT = 1
# The measurements that the program may report besides latency, and their units. All must be numbers of at least 0.
NUMBERS = {"sram_bytes": "B", "flash_bytes": "B", "arena_bytes": "B", "peak_rss_bytes": "B", "energy_uj": "uJ"}
TEXTS = ("device", "version", "estimate")  # texts that describe the conditions of a measurement
WHOSE = {"file": BuildFailed, "setup": HostError, "device": Dropped}  # ``kind`` of an error (its cause): exception
NOT_STARTED = 127  # the launcher's exit code for a program that cannot be started


@dataclasses.dataclass(frozen=True)
class Command(Target):
    """``command:/path/to/tool``. ``argument`` is a text that is sent to the program with every file."""

    name: ClassVar[str] = "command"
    alone: ClassVar[bool] = False
    by_content: ClassVar[bool] = True
    budgets: ClassVar[tuple[str, ...]] = ("latency_us", "sram_bytes", "flash_bytes")

    program: str = dataclasses.field(default="", metadata=ADDRESS)
    argument: str = ""
    timeout_seconds: float = 300.0
    memory_mb: int = 8000
    pauses_seconds: tuple[float, ...] = dataclasses.field(default=(2.0, 8.0, 20.0), metadata=ADDRESS)

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """See ``Target.from_spec``; ``rest`` is the absolute path of the program."""
        if not rest:
            raise ConfigError("target command: name a program, such as command:/home/me/board.py.")
        return cls(program=rest, **cls.parse(options))

    def __post_init__(self) -> None:
        check_path("target command: the program", self.program)
        if self.memory_mb < 16:
            raise self.error(f"memory_mb must be at least 16, not {self.memory_mb}.")

    @property
    def default_name(self) -> str:
        return Path(self.program).stem

    @property
    def on_this_machine(self) -> bool:
        return False

    def describe(self) -> dict[str, Any]:
        """See ``Target.describe``. Includes the program's hash, because another version may report other numbers."""
        path = Path(self.program)
        known = super().describe()
        del known["pauses_seconds"]
        return known | {"sha256": file_sha256(path) if path.is_file() else None}

    def check(self) -> list[Finding]:
        """See ``Target.check``: asks the program if it works (``"check": true``)."""
        path = Path(self.program)
        if not path.is_file() or not os.access(path, os.X_OK):
            remedy = f"Correct the path, or chmod +x {path}"
            return [Finding("program", "fails", f"{path} is not a program that can be run", remedy)]
        try:
            answer = self._ask({"check": True})
        except (HostError, CandidateError, Dropped) as error:
            return [Finding("program", "fails", str(error))]
        return [Finding("program", "works", f"{path.name} answers: {_conditions(answer) or 'no device named'}")]

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``. Errors of kind ``device`` are retried."""
        asked = {"file": str(file), "sha256": timed_sha256(file), "baseline": str(baseline), "threads": threads}
        address = f"command:{self.program}"
        answer = retry(lambda: self._ask(asked), self.pauses_seconds, address, self.program)
        around = {"target": self.name, "program": Path(self.program).name, **_conditions(answer)}
        others = {
            name: Measurement(value, unit, around)
            for name, unit in NUMBERS.items()
            if (value := _number(answer, name)) is not None
        }
        missing = answer.get("unsupported")
        if missing:
            if not isinstance(missing, list) or not all(isinstance(name, str) for name in missing):
                raise HostError(f"{self.program}: unsupported must be a list of operators")
            return Timing(None, None, None, others, f"it does not run {', '.join(missing)[:200]}")
        latency, base = _latency(answer, "latency_us", around), _latency(answer, "baseline_latency_us", around)
        ratio = None if latency is None or base is None else base.value / latency.value
        if latency is None and not others:
            raise HostError(f"{self.program} reported no number for {file.name}: {', '.join(['latency_us', *NUMBERS])}")
        return Timing(latency, base, ratio, others)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        given = json.dumps({"contract": CONTRACT, "argument": self.argument} | request)
        with tempfile.TemporaryDirectory(prefix="litetuner-command-") as folder:
            ended = run_limited(
                [self.program],
                seconds=self.timeout_seconds,
                memory_bytes=self.memory_mb * 1_000_000,
                given=given,
                folder=Path(folder),
            )
        return self._answer(ended)

    def _answer(self, ended: Ended) -> dict[str, Any]:
        """The JSON object that the program printed. Raises an exception for a failed program or for its ``error``."""
        if ended.code is None:
            raise BuildFailed(f"{self.program} did not end within {self.timeout_seconds:g} s, and was stopped")
        if ended.code == NOT_STARTED:
            raise HostError(f"{self.program} was not started: {ended.end}")
        try:
            answer = json.loads(ended.output)
        except ValueError as error:
            if ended.code:
                raise BuildFailed(f"{self.program} {ended.how}") from error
            raise HostError(f"{self.program} printed no JSON object: {ended.output[:200]!r}") from error
        if not isinstance(answer, dict) or answer.get("contract") != CONTRACT:
            raise HostError(
                f'{self.program} must print a JSON object with "contract": {CONTRACT}: {ended.output[:200]!r}'
            )
        if "error" in answer or ended.code:
            kind = answer.get("kind", "file")
            raise WHOSE.get(kind, HostError)(f"{Path(self.program).name}: {str(answer.get('error', ended.how))[:500]}")
        return answer


def _latency(answer: dict[str, Any], name: str, around: dict[str, Any]) -> Measurement | None:
    value = _number(answer, name)
    if value is None:
        return None
    if value <= 0:
        raise HostError(f"{name} is {value:g}: an inference takes time. Leave it out where it is not known.")
    interval = answer.get(name.replace("_us", "_interval_us"))
    if interval is not None:
        low, high = (_real(name, end) for end in interval)
        interval = (low, high)
    return Measurement(value, "us", around, interval)


def _number(answer: dict[str, Any], name: str) -> float | None:
    return None if answer.get(name) is None else _real(name, answer[name])


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise HostError(f"{name} must be a number at or above 0, not {ascii(value)[:60]}")
    return value


def _conditions(answer: dict[str, Any]) -> dict[str, str]:
    return {name: str(answer[name])[:200] for name in TEXTS if answer.get(name)}
