"""A target: a place where the latency of a ``.tflite`` is measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

from litetuner.objectives.measurement import Measurement


@dataclasses.dataclass(frozen=True)
class Timing:
    """What one timing returns: the file's latency, the baseline's measured in the same minutes, and their ratio."""

    latency_us: Measurement
    baseline_us: Measurement
    ratio: float  # baseline / this: above 1 means faster than the baseline


@dataclasses.dataclass(frozen=True)
class Target:
    """Subclasses set ``name`` and define ``time``; one file each in ``objectives/targets``."""

    name: ClassVar[str]

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """Measure ``file`` with ``baseline`` interleaved. Raises ``BuildFailed`` or ``Lost``."""
        raise NotImplementedError(f"{type(self).__name__} defines no time()")
