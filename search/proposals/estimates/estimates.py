"""Expected measurements of files with treated layers. They sort and filter proposals, and are never an objective."""

from __future__ import annotations

import dataclasses
import functools
import statistics as stats
from collections.abc import Mapping, Sequence

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import distance
from litetuner.search.history import History
from litetuner.search.hypervolume import Measured
from litetuner.search.proposals.estimates.latencies import Latencies
from litetuner.search.trial import Trial, find_baseline
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.reconstruction.allocation.statistics import Estimate, Statistics, estimate, treatment_of
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.steps import step_for

ESTIMATE = "estimate."  # prefix of a measurement's name
SIZES = ("compressed_bytes", "file_bytes")
UNTRAINED = Candidate(())


class Treated:
    """The scored trials with treated layers and those without, by their base (``base_of``).

    The estimators are cached until the next scored trial is added.
    """

    def __init__(self) -> None:
        self.layers: Statistics | None = None  # the statistics that ``estimates`` were computed from
        self.estimates: dict[int, Estimate | None] = {}  # by trial number
        self.untrained: Estimator | None = None  # for the unchanged model
        self.changed: dict[str, ChangedEstimator | None] = {}  # for other bases, by key of the base
        self.trials: dict[str, list[Trial]] = {}  # with treated layers, by key of the base
        self.plain: dict[str, Trial] = {}  # by key of the base: the first int8 file without treated layers
        self.others: dict[tuple[str, str], Trial] = {}  # without treated layers, by keys of the base and of later steps

    def add(self, trial: Trial, gain: float) -> None:
        if not trial.state.scored or trial.duplicate_of is not None:
            return
        self.untrained = None
        base, after = base_of(trial.candidate).key, Candidate(treating(trial.candidate)).key
        roles = {step.role for step in trial.candidate.steps}
        if Role.BY_LAYER in roles:
            self.trials.setdefault(base, []).append(trial)
        else:
            self.others.setdefault((base, after), trial)
            if Role.INTEGER in roles:
                self.plain.setdefault(base, trial)

    def known(self, layers: Statistics, base: str) -> tuple[tuple[Estimate, Trial], ...]:
        """The trials of a base with treated layers that have an estimate, sorted by estimated error."""
        if layers is not self.layers:
            self.layers, self.estimates = layers, {}
        found = []
        for trial in self.trials.get(base, []):
            if trial.number not in self.estimates:
                self.estimates[trial.number] = estimated(trial.candidate, layers)
            told = self.estimates[trial.number]
            found += [] if told is None else [(told, trial)]
        return tuple(sorted(found, key=lambda each: each[0].error))


@dataclasses.dataclass(frozen=True)
class Estimator:
    """Estimates for treated files of one base, from layer statistics and earlier trials.

    ``known`` are its trials with treated layers, sorted by estimated error; ``plain`` is its untreated int8 file.
    """

    layers: Statistics
    known: tuple[tuple[Estimate, Trial], ...]
    plain: Trial | None
    baseline: Trial | None

    @staticmethod
    def of(history: History, layers: Statistics, base: str = UNTRAINED.key) -> Estimator:
        """The estimator for the base with this key; by default the unchanged model."""
        view = history.view(Treated)
        return Estimator(layers, view.known(layers, base), view.plain.get(base), find_baseline(history.trials))

    def constant_bytes(self, name: str, arithmetic: str = "int8") -> float:
        """The bytes of a file that do not depend on treatments: the median over trials, else from the plain int8 file.

        Only trials with this arithmetic are used, if there are any. 0 if nothing is known.
        """
        return self._constant_bytes[name].get(arithmetic, self._constant_bytes[name].get("", 0.0))

    @functools.cached_property
    def _constant_bytes(self) -> dict[str, dict[str, float]]:
        """The constant bytes by name of the measurement and by arithmetic; "" stands for any arithmetic."""
        known = list(self.known)
        if not known and self.plain is not None:
            usual = {layer.name: treatment_of(256, 0.0) for layer in self.layers.layers}
            told = estimate(self.layers, usual)
            known = [] if told is None else [(told, self.plain)]
        found: dict[str, dict[str, float]] = {}
        for name in SIZES:
            values: dict[str, list[float]] = {}
            for told, trial in known:
                for kind in ("", told.arithmetic):
                    values.setdefault(kind, []).append((trial.value(name) or 0.0) - _bytes(told, name))
            found[name] = {kind: stats.median(each) for kind, each in values.items()}
        return found

    def measurements(self, candidate: Candidate) -> dict[str, float]:
        """The expected values of a candidate by name of the measurement; empty if nothing is known."""
        told = estimated(candidate, self.layers)
        if told is None:
            return {}
        found = {
            name: _bytes(told, name) + self.constant_bytes(name, told.arithmetic)
            for name in SIZES
            if self.known or self.plain is not None
        }
        return found | self._drop(told) | self._latencies.expected(told)

    def _drop(self, told: Estimate) -> dict[str, float]:
        """The drop for an estimated error: interpolated between trials, never lower for a larger error.

        Beyond the largest known error it grows in proportion to the error.
        """
        if not self.known:
            return {}
        largest = self.known[-1][0].error
        errors, drops = self._drops
        if told.error > largest > 0:
            last = self.known[-1][1].measurements["drop"]
            return {"drop": max(float(drops[-1]), last.interval[1] if last.interval else 0.0) * told.error / largest}
        return {"drop": float(np.interp(np.log(told.error + 1e-12), errors, drops))}

    def most_bytes(self, size: float) -> float:
        """The compressed bytes that the weights of the layers may take in a file of this compressed size."""
        return size - self.constant_bytes("compressed_bytes")

    @functools.cached_property
    def _drops(self) -> tuple[np.ndarray, np.ndarray]:
        """The log errors of known trials and their drops after isotonic regression, both in increasing order."""
        from scipy.optimize import isotonic_regression

        drops = isotonic_regression([trial.value("drop") or 0.0 for _, trial in self.known]).x
        return np.log(np.array([each.error for each, _ in self.known]) + 1e-12), np.array(drops, dtype=np.float64)

    @functools.cached_property
    def _latencies(self) -> Latencies:
        return Latencies.of(self.known, self.baseline)


@dataclasses.dataclass(frozen=True)
class ChangedEstimator:
    """Estimates for a base that is trained or pruned. Its layers are assumed to be as sensitive as the model's.

    ``twins`` are a trial of the base, and the measured or expected values of the model's file with the same deployment.
    Other files of base and model are assumed to differ in the same way. ``known`` are the treated files of the base.
    """

    model: Estimator
    twins: tuple[Trial, Measured]
    known: tuple[tuple[Estimate, Trial], ...]

    @staticmethod
    def of(history: History, model: Estimator, base: str) -> ChangedEstimator | None:
        """The estimator of a base. ``None`` if there are no two files to compare, or no trial that treats the model."""
        others, known = history.view(Treated).others, Estimator.of(history, model.layers, base).known
        if not model.known:
            return None
        for (ours, after), trial in others.items():
            twin = others.get((UNTRAINED.key, after))
            if ours == base and twin is not None:
                return ChangedEstimator(model, (trial, twin.value), known)
        if not known:
            return None
        trial = known[0][1]
        return ChangedEstimator(model, (trial, model.measurements(trial.candidate).get), known)

    def measurements(self, candidate: Candidate) -> dict[str, float]:
        """As ``Estimator.measurements``. Latencies and sizes (without constant bytes) scale with those of the twins."""
        found = self._by_twins(self.model.measurements(candidate))
        return {name: value + self._wrong.get(name, 0.0) for name, value in found.items()}

    def most_bytes(self, size: float) -> float:
        """As ``Estimator.most_bytes``, but in bytes of the model's weights if they had the same treatments."""
        name = "compressed_bytes"
        trial, twin = self.twins
        ours, theirs = trial.value(name) or 0.0, twin(name) or 0.0
        constant = min(ours, self.model.constant_bytes(name))
        share = (ours - constant) / max(theirs - constant, 1.0)
        return (size - self._wrong.get(name, 0.0) - constant) / share if share > 0 else 0.0

    @functools.cached_property
    def _wrong(self) -> dict[str, float]:
        """The median error of the estimates for sizes and drop: measured minus estimated value of known trials."""
        told = [(trial, self._by_twins(self.model.measurements(trial.candidate))) for _, trial in self.known]
        names = {name for _, found in told for name in found} & {"drop", *SIZES}
        return {name: stats.median((trial.value(name) or 0.0) - found[name] for trial, found in told) for name in names}

    def _by_twins(self, told: Mapping[str, float]) -> dict[str, float]:
        trial, twin = self.twins
        found = {}
        for name, value in told.items():
            ours, theirs = trial.value(name), twin(name)
            if ours is None or theirs is None:
                continue
            constant = min(ours, self.model.constant_bytes(name)) if name in SIZES else 0.0
            if name == "drop":
                found[name] = value + ours - theirs
            elif theirs > constant:
                found[name] = constant + (value - constant) * (ours - constant) / (theirs - constant)
        return found


def violation(told: Mapping[str, float], history: History) -> float:
    """The expected distance from all budgets of a file with these expected values; 0 if it should fit all of them."""
    return distance({b.name: b.violation(told[b.measurement]) for b in history.budgets if b.measurement in told})


def expected_gain(told: Mapping[str, float], history: History) -> float:
    """The hypervolume that a file with these expected values would add; 0 if a value is missing."""
    costs = None if history.growth is None else history.growth.costs(told.get)
    return 0.0 if costs is None or history.growth is None else history.growth.gain(costs)


def untrained_estimator(history: History, layers: Statistics) -> Estimator:
    """The estimator for treated files of the unchanged model."""
    view = history.view(Treated)
    if view.untrained is None or view.untrained.layers is not layers:
        view.untrained, view.changed = Estimator.of(history, layers), {}
    return view.untrained


def estimator_of(base: Candidate, history: History, layers: Statistics) -> Estimator | ChangedEstimator | None:
    """The estimator for treated files of a base; ``None`` if nothing is known about such files."""
    model = untrained_estimator(history, layers)
    if not base.steps:
        return model
    changed = history.view(Treated).changed
    if base.key not in changed:
        changed[base.key] = ChangedEstimator.of(history, model, base.key)
    return changed[base.key]


def expected(candidate: Candidate, history: History, layers: Statistics | None) -> dict[str, float]:
    """The expected values of a candidate by name of the measurement, from the trials so far; empty if unknown."""
    if layers is None or estimated(candidate, layers) is None:
        return {}
    found = estimator_of(base_of(candidate), history, layers)
    return {} if found is None else found.measurements(candidate)


def estimated(candidate: Candidate, layers: Statistics) -> Estimate | None:
    """The estimate of a candidate with treated layers, as if its base were the unchanged model.

    ``None`` if it does not treat layers, or if a training made sparsity or clusters that must be kept.
    """
    if any(step.makes for step in candidate.prefix.steps):
        return None
    found = [told for step in candidate.of_stage(Stage.REWRITE) if (told := step.estimated(layers)) is not None]
    return found[0] if found else None


def base_of(candidate: Candidate) -> Candidate:
    """The base of a candidate: its trained steps, and the steps that prune channels of the converted file."""
    return Candidate((*candidate.prefix.steps, *(step for step in candidate.deployment if _cuts(step))))


def treating(candidate: Candidate) -> tuple[Step, ...]:
    """The steps of a candidate that are not part of its base."""
    return tuple(step for step in candidate.deployment if not _cuts(step))


def _cuts(step: Step) -> bool:
    return step.stage is Stage.REWRITE and step.changes_shapes


def estimates(candidate: Candidate, history: History, layers: Statistics | None) -> dict[str, Measurement]:
    """The expected values as measurements for a trial's record, named ``estimate.<name>``."""
    told = expected(candidate, history, layers)
    if not told:
        return {}
    view = history.view(Treated)
    known = [*view.plain.values(), *(trial for trials in view.trials.values() for trial in trials)]
    said = {"estimate": f"by the statistics of layers, and {len(known) - len(view.plain)} trials that treat layers"}
    of = {name: next(t.measurements[name] for t in reversed(known) if name in t.measurements) for name in told}
    return {ESTIMATE + name: Measurement(value, of[name].unit, said) for name, value in told.items()}


def offered(layers: Statistics | None, deployments: Sequence[str]) -> bool:
    """True if layer statistics are known and the space has a deployment that treats layers."""
    return layers is not None and bool(layers.layers) and step_for(Role.BY_LAYER).name in deployments


def _bytes(told: Estimate, measurement: str) -> float:
    return told.deflated if measurement == "compressed_bytes" else told.stored
