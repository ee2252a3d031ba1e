"""What a file that treats layers is expected to measure. Estimates order and filter proposals; they are never an objective."""

from __future__ import annotations

import dataclasses
import statistics as stats
from collections.abc import Sequence

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import distance
from litetuner.search.history import History
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.reconstruction.allocation.statistics import Estimate, Statistics, estimate, treatment_of
from litetuner.spaces.step import Role, Stage
from litetuner.spaces.steps import step_for

ESTIMATE = "estimate."  # before a measurement's name


class Treated:
    """The scored trials that treat layers and train nothing, and the one that is plain int8."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.plain: Trial | None = None

    def add(self, trial: Trial, gain: float) -> None:
        if not trial.state.scored or trial.duplicate_of is not None or trial.candidate.prefix.steps:
            return
        roles = {step.role for step in trial.candidate.steps}
        if Role.BY_LAYER in roles:
            self.trials.append(trial)
        elif Role.INTEGER in roles and self.plain is None:
            self.plain = trial


@dataclasses.dataclass(frozen=True)
class Estimator:
    """By layer statistics and what trials measured: ``known`` are trials with their estimates, ordered by error."""

    layers: Statistics
    known: tuple[tuple[Estimate, Trial], ...]
    plain: Trial | None

    @staticmethod
    def of(history: History, layers: Statistics) -> Estimator:
        view = history.view(Treated)
        found = [(told, trial) for trial in view.trials if (told := estimated(trial.candidate, layers)) is not None]
        return Estimator(layers, tuple(sorted(found, key=lambda each: each[0].error)), view.plain)

    def constant_bytes(self, measurement: str = "compressed_bytes") -> float:
        """Bytes of a file that do not depend on treatments: the median over trials, else by the plain int8 file."""
        known = list(self.known)
        if not known and self.plain is not None:
            usual = {layer.name: treatment_of(256, 0.0) for layer in self.layers.layers}
            told = estimate(self.layers, usual)
            known = [] if told is None else [(told, self.plain)]
        beyond = [(trial.value(measurement) or 0.0) - _bytes(told, measurement) for told, trial in known]
        return stats.median(beyond) if beyond else 0.0

    def measurements(self, candidate: Candidate) -> dict[str, float]:
        """What a candidate is expected to measure, by the names of measurements; empty where nothing is known."""
        told = estimated(candidate, self.layers)
        if told is None:
            return {}
        found = {
            name: _bytes(told, name) + self.constant_bytes(name)
            for name in ("compressed_bytes", "file_bytes")
            if self.known or self.plain is not None
        }
        return found | self._drop(told) | self._latencies(told)

    def violation(self, candidate: Candidate, history: History) -> float:
        """How far a candidate is expected to be from all budgets; 0 where it should fit."""
        told = self.measurements(candidate)
        return distance({b.name: b.violation(told[b.measurement]) for b in history.budgets if b.measurement in told})

    def _drop(self, told: Estimate) -> dict[str, float]:
        """A drop that grows with the error, through what trials measured."""
        from scipy.optimize import isotonic_regression

        if not self.known:
            return {}
        drops = isotonic_regression([trial.value("drop") or 0.0 for _, trial in self.known]).x
        errors = [np.log(each.error + 1e-12) for each, _ in self.known]
        return {"drop": float(np.interp(np.log(told.error + 1e-12), errors, drops))}

    def _latencies(self, told: Estimate) -> dict[str, float]:
        """Measured on the same structure, else between those of fewer and more int4 weights."""
        found: dict[str, float] = {}
        names = {name for _, trial in self.known for name in trial.measurements if name.startswith("latency_us")}
        for name in sorted(names):
            timed = [(each, value) for each, trial in self.known if (value := trial.value(name)) is not None]
            same = [value for each, value in timed if each.int4 == told.int4]
            by_bytes: Sequence[tuple[float, float]] = sorted((each.stored, value) for each, value in timed)
            sizes, values = zip(*by_bytes, strict=True)
            found[name] = stats.median(same) if same else float(np.interp(told.stored, sizes, values))
        return found


def estimated(candidate: Candidate, layers: Statistics) -> Estimate | None:
    """The estimate of an untrained candidate that treats layers, all of whose channels are there."""
    if candidate.prefix.steps or any(step.changes_shapes for step in candidate.steps):
        return None
    found = [told for step in candidate.of_stage(Stage.REWRITE) if (told := step.estimated(layers)) is not None]
    return found[0] if found else None


def estimates(candidate: Candidate, history: History, layers: Statistics | None) -> dict[str, Measurement]:
    """What a candidate is expected to measure by the trials so far, for its record: ``estimate.<name>``."""
    if layers is None or estimated(candidate, layers) is None:
        return {}
    estimator = Estimator.of(history, layers)
    said = {"estimate": f"by the statistics of layers, and {len(estimator.known)} trials that treat layers"}
    measured = [trial for trial in (*(trial for _, trial in estimator.known), estimator.plain) if trial is not None]
    units = {name: item.unit for trial in measured for name, item in trial.measurements.items()}
    found = estimator.measurements(candidate)
    return {ESTIMATE + name: Measurement(value, units[name], said) for name, value in found.items()}


def offered(layers: Statistics | None, deployments: Sequence[str]) -> bool:
    """May candidates treat layers, and are they known?"""
    return layers is not None and bool(layers.layers) and step_for(Role.BY_LAYER).name in deployments


def _bytes(told: Estimate, measurement: str) -> float:
    return told.deflated if measurement == "compressed_bytes" else told.stored
