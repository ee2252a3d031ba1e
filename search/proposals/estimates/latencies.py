"""Latencies of files that treat layers: by what they compute with and which layers are int4, as other treatments change none."""

from __future__ import annotations

import dataclasses
import statistics as stats
from collections.abc import Mapping, Sequence

import numpy as np

from litetuner.search.trial import Trial
from litetuner.spaces.reconstruction.allocation.statistics import Estimate

_PREFIX = "latency_us"  # of the names of measurements


@dataclasses.dataclass(frozen=True)
class _Timed:
    """Files of one arithmetic: the median of each structure, and stored bytes in order with the latencies."""

    structures: Mapping[frozenset[str], float]  # by int4 layers
    stored: np.ndarray
    values: np.ndarray

    @staticmethod
    def of(pairs: Sequence[tuple[Estimate, float]]) -> _Timed:
        same: dict[frozenset[str], list[float]] = {}
        for told, value in pairs:
            same.setdefault(told.int4, []).append(value)
        stored, values = np.array(sorted((told.stored, value) for told, value in pairs)).T
        return _Timed({int4: stats.median(found) for int4, found in same.items()}, stored, values)

    def expected(self, told: Estimate) -> float:
        """Measured on the same structure, else between those of fewer and more int4 weights."""
        return self.structures.get(told.int4, float(np.interp(told.stored, self.stored, self.values)))


@dataclasses.dataclass(frozen=True)
class Latencies:
    """By measurement and arithmetic. ``baseline`` is what the float model took."""

    timed: Mapping[str, Mapping[str, _Timed]]
    baseline: Mapping[str, float]

    @staticmethod
    def of(known: Sequence[tuple[Estimate, Trial]], baseline: Trial | None) -> Latencies:
        """From trials with their estimates."""
        pairs: dict[str, dict[str, list[tuple[Estimate, float]]]] = {}
        for told, trial in known:
            for name, value in _latencies(trial).items():
                pairs.setdefault(name, {}).setdefault(told.arithmetic, []).append((told, value))
        timed = {name: {kind: _Timed.of(each) for kind, each in kinds.items()} for name, kinds in pairs.items()}
        return Latencies(timed, {} if baseline is None else _latencies(baseline))

    def expected(self, told: Estimate) -> dict[str, float]:
        """By measurement. What computes in another way than all that was timed is expected to take what the float model took."""
        found = {}
        for name, kinds in self.timed.items():
            if told.arithmetic in kinds:
                found[name] = kinds[told.arithmetic].expected(told)
            elif name in self.baseline:
                found[name] = self.baseline[name]
        return found


def _latencies(trial: Trial) -> dict[str, float]:
    return {name: each.value for name, each in trial.measurements.items() if name.startswith(_PREFIX)}
