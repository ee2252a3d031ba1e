"""Targets for tests: one that goes away for a while, one that lacks kernels, one that never worked."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

from litetuner.objectives.targets.fake import Fake
from litetuner.objectives.targets.target import Finding, Timing
from litetuner.spaces.errors import TargetLost


class Weather:
    """Which timings (counted from 1, failed ones too) and looks are not answered; what a test changes as it likes."""

    lost: ClassVar[range] = range(0)
    blind_looks: ClassVar[int] = 0
    timings: ClassVar[int] = 0
    looks: ClassVar[int] = 0

    @classmethod
    def forecast(cls, lost: range = range(0), blind_looks: int = 0) -> None:
        cls.lost, cls.blind_looks, cls.timings, cls.looks = lost, blind_looks, 0, 0


@dataclasses.dataclass(frozen=True)
class Flaky(Fake):
    """Answers as the weather is, twice as slow as ``fake``."""

    name: ClassVar[str] = "flaky"

    def check(self) -> list[Finding]:
        """Answered but for the looks after a loss that the forecast takes away."""
        if Weather.timings and Weather.looks < Weather.blind_looks:
            Weather.looks += 1
            return [Finding("connection", "fails", "no answer")]
        return [Finding("connection", "works", "there")]

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """As ``Fake``, or lost."""
        Weather.timings += 1
        if Weather.timings in Weather.lost:
            raise TargetLost("the cable was pulled", "flaky address")
        found = super().time(file, baseline, threads)
        slower = [dataclasses.replace(m, value=2 * m.value) for m in (found.latency_us, found.baseline_us)]
        return Timing(slower[0], slower[1], found.ratio)


@dataclasses.dataclass(frozen=True)
class Dead(Fake):
    """Never worked."""

    name: ClassVar[str] = "dead"

    def check(self) -> list[Finding]:
        """Fails, and says what to do."""
        return [Finding("connection", "fails", "no route to host", "Is it switched on?")]


@dataclasses.dataclass(frozen=True)
class Poor(Fake):
    """Has no kernel for convolutions."""

    name: ClassVar[str] = "poor"

    def unsupported_operators(self) -> frozenset[str]:
        """Convolutions."""
        return frozenset({"CONV_2D"})


@dataclasses.dataclass(frozen=True)
class Strict(Fake):
    """Takes integers only: it has no kernel that makes them of floats."""

    name: ClassVar[str] = "strict"

    def unsupported_operators(self) -> frozenset[str]:
        """Quantizing at the input."""
        return frozenset({"QUANTIZE"})
