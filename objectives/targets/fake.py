"""A fake target: latency is computed from the file's bytes, for tests and simulated searches."""

import dataclasses
import hashlib
from pathlib import Path
from typing import ClassVar

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.target import Finding, Target, Timing
from litetuner.spaces.errors import BuildFailed, Lost


@dataclasses.dataclass(frozen=True)
class Fake(Target):
    """Latency grows with the file's size; files of equal size differ by up to 10 %. Equal bytes have equal latency."""

    name: ClassVar[str] = "fake"

    def check(self) -> list[Finding]:
        """See ``Target.check``."""
        return [Finding(self.name, "note", "computes latencies from the file's bytes and measures nothing")]

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``. This starts no process and takes no time."""
        this, base = _pretend(file, threads), _pretend(baseline, threads)
        return Timing(this, base, base.value / this.value)


def _pretend(file: Path, threads: int) -> Measurement:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Lost(f"cannot read {file}: {error.strerror}") from error
    if not content:
        raise BuildFailed(f"{file} is empty")
    fraction = int.from_bytes(hashlib.sha256(content).digest()[:2], "big") / 65535
    value = (10 + len(content) / 1000) * (1 + fraction / 10) / threads
    environment = {"target": "fake", "threads": threads, "note": "computed from the file's size and hash, not measured"}
    return Measurement(value, "us", environment, interval=(value, value), samples=(value,))
