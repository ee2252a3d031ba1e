"""From a candidate to its measurements: probe, train, convert, finish, time, score; each a job, each answered from the cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.metric import Metric
from litetuner.objectives.statistics import paired_difference, paired_metric_difference
from litetuner.search.config.config import Config
from litetuner.search.config.units import BYTES, parse
from litetuner.search.criteria import Criteria, judged, terms
from litetuner.search.evaluation.conversion_gap import conversion_gap
from litetuner.search.evaluation.gates import Gate, Unsuited
from litetuner.search.evaluation.inspection import Inspection
from litetuner.search.evaluation.pipeline import Work
from litetuner.search.evaluation.target_availability import TargetAvailability
from litetuner.search.evaluation.timing import read_timing
from litetuner.search.history import History
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.study import Asked, derive
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.jobs import Job, Kind, Limits
from litetuner.search.runtime.machine import machine_name, usable_cores
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed, Lost, Refused, TargetLost
from litetuner.spaces.rules import SpaceConstraints, broken_rules
from litetuner.spaces.step import Stage

TRAIN_PATIENCE = 8.0  # times the estimate, then a training is taken for hung
FACTS_VERSION = 1  # of what is computed of every finished file; files of an older one are computed anew
SECONDS: dict[Kind, float] = {"train": 900.0, "convert": 900.0, "score": 1800.0, "time": 120.0, "inspect": 1800.0}


@dataclasses.dataclass
class Evaluator:
    """Evaluates candidates of one run. ``baseline`` is trial 0 once it is scored; gates judge by what was ``told``."""

    folder: RunFolder
    config: Config
    metric: Metric
    inspection: Inspection
    around: SpaceConstraints
    cache: JobCache
    baseline: Trial | None = None
    told: History = dataclasses.field(default_factory=History)
    trained: Callable[[Candidate], None] = lambda candidate: None  # called when nothing of a trial is left to train

    def __post_init__(self) -> None:
        self.terms: Criteria = terms(self.config, self.metric)
        self.places = {place.name: place for place in self.config.places}
        self.availability = TargetAvailability({name: place.target for name, place in self.places.items()})
        self._where = {
            "model": self.config.model,
            "trust": self.config.trust_model,
            "custom_objects": self.config.custom_objects,
            "facts": self.inspection.model.to_json(),
            "data": self.inspection.data.to_json(),
        }

    def evaluate(self, asked: Asked) -> Trial:
        """One candidate's trial, whatever becomes of it. Only usage errors and interrupts come out as exceptions."""
        work = Work(self, asked.candidate, self.folder.trial_folder(asked.number) / "log.txt")
        seed = self.seed(asked.candidate)
        trial = Trial(asked.number, asked.candidate, State.LOST, asked.origin, seed, params=asked.params)
        try:
            reasons = broken_rules(asked.candidate, self.around)
            if reasons:
                raise Refused("; ".join(reasons))
            work.measure()
            outcome: dict[str, Any] = {"state": State.COMPLETE}
        except Gate as gate:
            outcome = {"state": State.PRUNED, "gate": gate.name, "reason": str(gate), "constraints": gate.constraints}
        except Unsuited as error:
            outcome = {"state": State.INVALID, "gate": error.gate, "reason": str(error)}
        except Refused as error:
            outcome = {"state": State.INVALID, "reason": str(error)}
        except BuildFailed as error:
            outcome = {"state": State.FAILED, "reason": str(error)}
        except TargetLost as error:
            outcome = {"state": State.LOST, "reason": str(error), "waits_for": error.target}
        except Lost as error:
            outcome = {"state": State.LOST, "reason": str(error)}
        return judged(dataclasses.replace(trial, **work.known, **outcome), self.terms)

    def seed(self, candidate: Candidate) -> int:
        """The seed of a candidate's training: of (root, prefix), so that equal prefixes are one training."""
        return derive(self.config.seed, candidate.prefix.key)

    def checkpoints(self, candidate: Candidate) -> list[str]:
        """The checkpoints of a prefix that exist, in order."""
        found: list[str] = []
        for index in range(len(candidate.prefix.steps)):
            known = self.cache.known(self.train_job(candidate, index, found))
            if known is None:
                break
            found.append(known.outputs["checkpoint"])
        return found

    def train_job(self, candidate: Candidate, index: int, parents: list[str]) -> Job:
        steps = candidate.prefix.steps[: index + 1]
        epoch = self.inspection.seconds_per_epoch or 60.0
        limit = max(SECONDS["train"], TRAIN_PATIENCE * epoch * steps[-1].knobs().get("epochs", 1.0))
        inputs = {
            "prefix": Candidate(steps).to_json(),
            "parents": parents,
            "seed": derive(self.config.seed, Candidate(steps).key),
        }
        return self.job("train", inputs, seconds=limit)

    def job(
        self,
        kind: Kind,
        inputs: dict[str, Any],
        handler: str = "",
        hints: dict[str, Any] | None = None,
        seconds: float = 0.0,
    ) -> Job:
        """A job with what all jobs of this run share."""
        shared = {
            "base": self.inspection.base,
            "model_sha256": self.inspection.model.sha256,
            "data_sha256": self.inspection.data.sha256,
            "loss": self.inspection.loss,
            "batch_size": self.config.batch_size,
            "calibration": self.config.calibration,
        }
        limits = Limits(seconds or SECONDS[kind], int(parse(self.config.max_job_memory, BYTES, "max-job-memory")))
        return Job(kind, shared | inputs, limits, handler, self._where | (hints or {}))

    def build(self, candidate: Candidate, checkpoints: list[str], untrained: bool, work: Work) -> dict[str, Any]:
        """Convert and finish: the artifact of a candidate, or of its one-shot probe."""
        plain = candidate.probed if untrained else candidate
        raw = Candidate((*plain.prefix.steps, *plain.of_stage(Stage.CONVERT)))
        convert = {"steps": raw.to_json(), "checkpoints": checkpoints, "untrained": untrained, "seed": self.config.seed}
        file = work.run(self.job("convert", convert))["file"]
        finish = {"steps": plain.to_json(), "file": file, "untrained": untrained, "seed": self.config.seed}
        finish |= {"facts": FACTS_VERSION}
        cuts = [at for at, step in enumerate(plain.prefix.steps) if step.stage is Stage.RESHAPE]
        if cuts and not untrained:  # the file must have the shapes that were decided there
            finish |= {"cut": checkpoints[cuts[-1]]}
        return work.run(self.job("convert", finish, handler="finish"))

    def time(
        self, artifact: dict[str, Any], target: str, work: Work, occasion: str = "search"
    ) -> dict[str, Measurement]:
        """What a target, by its name, measures of a structure: one measurement for all files that share it.

        Raises ``TargetLost`` at once for a target that is known to be away, and as ``Target.time`` does.
        """
        file = self.folder.artifacts.path(artifact["artifact"])
        base = self.folder.path / self.baseline.artifact if self.baseline and self.baseline.artifact else file
        place = self.places[target]
        inputs = {
            "structure": artifact["structure"],
            "target": target,
            "place": place.target.describe(),
            "threads": self.config.threads,
            "occasion": occasion,
            "baseline": base.name,
            "machine": machine_name(),
        }
        spec = self.config.target[list(self.places).index(target)]
        hints = {"file": str(file), "baseline": str(base), "spec": spec}
        job = Job("time", inputs, self.job("time", {}).limits, hints=hints)
        known = self.cache.known(job) is not None
        if not known and target in self.availability.away:
            raise TargetLost(self.availability.away[target], target)
        try:
            outputs = work.run(job)
        except TargetLost as error:
            self.availability.lost(target, str(error))
            raise
        if not known:
            self.availability.answered(target)
        return read_timing(outputs, target, baseline=file == base)

    def score(
        self, artifact: str, split: str, work: Work, candidate: Candidate, limit: int = 0, keep: bool = False
    ) -> dict[str, Any]:
        """Score a finished file on a split (its first ``limit`` samples, 0 for all)."""
        (convert,) = candidate.of_stage(Stage.CONVERT)
        io = convert.knobs().get("io")
        inputs = {
            "artifact": artifact,
            "split": split,
            "limit": limit,
            "metric": self.config.metric,
            "seed": self.config.seed,
            "threads": usable_cores(),
            "io": None if io is None else [io, io],
            "keep_predictions": keep,
            "data_sha256": self.inspection.data.sha256,
        }
        hints = {"file": str(self.folder.artifacts.path(artifact)), "data": self.inspection.data.to_json()}
        return work.run(Job("score", inputs, self.job("score", {}).limits, hints=hints))

    def measure_quality(self, artifact: str, candidate: Candidate, work: Work) -> dict[str, Measurement]:
        """The metric of a finished file on the search split, and its drop against the baseline."""
        scored = self.score(artifact, "search", work, candidate)
        base = scored
        if self.baseline is not None and self.baseline.artifact is not None:
            base = self.score(Path(self.baseline.artifact).name, "search", work, self.baseline.candidate)
        found = {"metric": Measurement.from_json(scored["metric"]), "drop": self.drop(scored, base, "search")}
        if self.baseline is None and self.inspection.original is not None:  # trial 0: what did the conversion cost?
            arrays = {key: self._array(scored[key]) if scored[key] else None for key in ("each", "predictions")}
            original = self._array(self.inspection.original)
            folder, seed = self.inspection.data.folder, self.config.seed
            found |= conversion_gap(self.metric, original, arrays, folder, seed)
        return found

    def drop(self, own: dict[str, Any], baseline: dict[str, Any], split: str) -> Measurement:
        """How much worse than the baseline, paired on the same samples: points where the metric is bounded, else relative."""
        sign = 1.0 if self.metric.direction == "maximize" else -1.0
        if own["each"] is not None and baseline["each"] is not None:
            difference, (low, high) = paired_difference(
                self._array(baseline["each"]), self._array(own["each"]), self.config.seed
            )
        else:
            y = np.load(Path(self.inspection.data.folder) / f"y_{split}.npy", allow_pickle=False)
            pair = (self._array(baseline["predictions"]), self._array(own["predictions"]))
            difference, (low, high) = paired_metric_difference(self.metric, y[: len(pair[0])], *pair, self.config.seed)
        value = baseline["metric"]["value"]
        scale = sign if self.metric.bounded else sign / (abs(value) or 1.0)
        ends = sorted((low * scale, high * scale))
        unit = "points" if self.metric.bounded else "relative to the baseline"
        environment = {"split": split, "samples": self.inspection.data.counts[split], "paired": True}
        return Measurement(difference * scale, unit, environment, (ends[0], ends[1]))

    def _array(self, blob: str) -> np.ndarray:
        array: np.ndarray = np.load(self.folder.blobs.path(blob), allow_pickle=False)
        return array
