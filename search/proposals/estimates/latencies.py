"""Expected latencies of files with treated layers.

They depend on the arithmetic and on the set of int4 layers. Other treatments do not change the latency.
"""

from __future__ import annotations

import dataclasses
import statistics as stats
from collections.abc import Mapping, Sequence

import numpy as np

from litetuner.search.trial import Trial
from litetuner.spaces.reconstruction.allocation.statistics import Estimate

_PREFIX = "latency_us"  # prefix of the measurements of latency


@dataclasses.dataclass(frozen=True)
class _Timed:
    """The measured latencies of files with one arithmetic."""

    structures: Mapping[frozenset[str], float]  # by set of int4 layers: the median latency
    stored: np.ndarray  # bytes of the uncompressed weights, sorted
    values: np.ndarray  # the latencies of these files

    @staticmethod
    def of(pairs: Sequence[tuple[Estimate, float]]) -> _Timed:
        same: dict[frozenset[str], list[float]] = {}
        for told, value in pairs:
            same.setdefault(told.int4, []).append(value)
        stored, values = np.array(sorted((told.stored, value) for told, value in pairs)).T
        return _Timed({int4: stats.median(found) for int4, found in same.items()}, stored, values)

    def expected(self, told: Estimate) -> float:
        """The median latency of files with the same int4 layers, else interpolated over the stored bytes."""
        return self.structures.get(told.int4, float(np.interp(told.stored, self.stored, self.values)))


@dataclasses.dataclass(frozen=True)
class Latencies:
    """Latencies by name of the measurement and by arithmetic. ``baseline`` has those of the float model."""

    timed: Mapping[str, Mapping[str, _Timed]]
    baseline: Mapping[str, float]

    @staticmethod
    def of(known: Sequence[tuple[Estimate, Trial]], baseline: Trial | None) -> Latencies:
        """The latencies of ``known`` trials with their estimates, and of the baseline."""
        pairs: dict[str, dict[str, list[tuple[Estimate, float]]]] = {}
        for told, trial in known:
            for name, value in _latencies(trial).items():
                pairs.setdefault(name, {}).setdefault(told.arithmetic, []).append((told, value))
        timed = {name: {kind: _Timed.of(each) for kind, each in kinds.items()} for name, kinds in pairs.items()}
        return Latencies(timed, {} if baseline is None else _latencies(baseline))

    def expected(self, told: Estimate) -> dict[str, float]:
        """The expected latencies by name of the measurement.

        If no file with the same arithmetic was timed yet, the latency of the float model is expected.
        """
        found = {}
        for name, kinds in self.timed.items():
            if told.arithmetic in kinds:
                found[name] = kinds[told.arithmetic].expected(told)
            elif name in self.baseline:
                found[name] = self.baseline[name]
        return found


def _latencies(trial: Trial) -> dict[str, float]:
    return {name: each.value for name, each in trial.measurements.items() if name.startswith(_PREFIX)}
