"""From a candidate to its measurements: probe, train, convert, finish, time, score; each a job, each answered from the cache."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metric import Metric
from litetuner.objectives.statistics import paired_difference, paired_metric_difference
from litetuner.search.cache import JobCache
from litetuner.search.config import Config
from litetuner.search.inspection import Inspection
from litetuner.search.job import Job, Kind, Limits
from litetuner.search.record import judged
from litetuner.search.run_folder import RunFolder
from litetuner.search.study import Asked, derive
from litetuner.search.trial import State, Trial
from litetuner.search.units import BYTES, parse
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed, Lost, Refused
from litetuner.spaces.rules import Surroundings, broken_rules
from litetuner.spaces.step import Stage
from litetuner.spaces.steps import STEPS

# A probe is not the trained file: so much over the limit it must be before it is believed (measured: facts within 1 %).
PROBE_MARGIN = {"file_bytes": 0.02, "deflated_bytes": 0.06}
TIME_MARGIN = 0.03  # two measurements of one structure may differ by this much
RUNG_SLACK = 0.1  # of the metric: so much a later training may bring back of what an earlier one lost
CHEAP_SCORING_SECONDS = 5.0  # a file that breaks a budget is still scored when that costs no more
TRAIN_PATIENCE = 8.0  # times the estimate, then a training is taken for hung
SECONDS: dict[Kind, float] = {"train": 900.0, "convert": 900.0, "score": 1800.0, "time": 120.0, "inspect": 1800.0}


class Gate(Exception):
    """A candidate is stopped before it is scored: by which gate, why, and how far from the budgets."""

    def __init__(self, name: str, reason: str, constraints: dict[str, float]) -> None:
        super().__init__(reason)
        self.name = name
        self.constraints = constraints


@dataclasses.dataclass
class Evaluator:
    """Evaluates candidates of one run. ``baseline`` is trial 0 once it is scored."""

    folder: RunFolder
    config: Config
    metric: Metric
    inspection: Inspection
    around: Surroundings
    cache: JobCache
    baseline: Trial | None = None

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
        except Refused as error:
            outcome = {"state": State.INVALID, "reason": str(error)}
        except BuildFailed as error:
            outcome = {"state": State.FAILED, "reason": str(error)}
        except Lost as error:
            outcome = {"state": State.LOST, "reason": str(error)}
        return judged(dataclasses.replace(trial, **work.known, **outcome), self.config.budgets)

    def seed(self, candidate: Candidate) -> int:
        """The seed of a candidate's training: of (root, prefix), so that equal prefixes are one training."""
        return derive(self.config.seed, candidate.prefix.key)

    def _checkpoints(self, candidate: Candidate) -> list[str]:
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
        where = {
            "model": self.config.model,
            "trust": self.config.trust_model,
            "facts": self.inspection.model.to_json(),
            "data": self.inspection.data.to_json(),
        }
        limits = Limits(seconds or SECONDS[kind], int(parse(self.config.max_job_memory, BYTES, "max-job-memory")))
        return Job(kind, shared | inputs, limits, handler, where | (hints or {}))

    def build(self, candidate: Candidate, checkpoints: list[str], untrained: bool, work: Work) -> dict[str, Any]:
        """Convert and finish: the artifact of a candidate, or of its one-shot probe."""
        plain = Candidate(tuple(s for s in candidate.steps if s.name != "qat")) if untrained else candidate
        raw = Candidate((*plain.prefix.steps, *plain.of_stage(Stage.CONVERT)))
        convert = {"steps": raw.to_json(), "checkpoints": checkpoints, "untrained": untrained, "seed": self.config.seed}
        file = work.run(self.job("convert", convert))["file"]
        finish = {"steps": plain.to_json(), "file": file, "untrained": untrained, "seed": self.config.seed}
        return work.run(self.job("convert", finish, handler="finish"))

    def time(
        self, artifact: dict[str, Any], target: str, work: Work, occasion: str = "search"
    ) -> dict[str, Measurement]:
        """Latency and ratio of a structure on a target: one measurement for all files that share it."""
        file = self.folder.artifacts.path(artifact["artifact"])
        base = self.folder.path / self.baseline.artifact if self.baseline and self.baseline.artifact else file
        own = {
            "structure": artifact["structure"],
            "target": target,
            "threads": self.config.threads,
            "occasion": occasion,
        }
        inputs = own | {"baseline": base.name, "machine": _machine()}
        outputs = work.run(
            Job("time", inputs, self.job("time", {}).limits, hints={"file": str(file), "baseline": str(base)})
        )
        latency = Measurement.from_json(outputs["latency_us"])
        ratio = Measurement(outputs["ratio"], "baseline / this", {"interleaved": True} | latency.environment)
        return {f"latency_us:{target}": latency, f"latency_ratio:{target}": ratio}

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
            "threads": _cores(),
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
        return {"metric": Measurement.from_json(scored["metric"]), "drop": self.drop(scored, base, "search")}

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


class Work:
    """One candidate on its way; ``known`` grows, so that what was measured survives a failure."""

    def __init__(self, evaluator: Evaluator, candidate: Candidate, log: Path | None = None) -> None:
        self.evaluator = evaluator
        self.candidate = candidate
        self._log = log
        self.known: dict[str, Any] = {"measurements": {}, "seconds": {}, "notes": ()}

    def run(self, job: Job) -> dict[str, Any]:
        """A job's outputs; its seconds count also when it fails."""
        started = time.monotonic()
        spent: float | None = None
        if self._log is not None:
            job = dataclasses.replace(job, hints=job.hints | {"log": str(self._log)})
        try:
            result = self.evaluator.cache.run(job)
            spent = result.seconds
            return result.outputs
        finally:
            seconds = self.known["seconds"]
            seconds[job.kind] = seconds.get(job.kind, 0.0) + (time.monotonic() - started if spent is None else spent)

    def measure(self) -> None:
        """All stages, cheap before dear. Fills ``known``."""
        evaluator, candidate = self.evaluator, self.candidate
        steps, done = candidate.prefix.steps, len(evaluator._checkpoints(candidate))
        if done < len(steps):
            self._probe()
        checkpoints: list[str] = []
        for index, step in enumerate(steps):
            trained = self.run(evaluator.train_job(candidate, index, list(checkpoints)))
            checkpoints.append(trained["checkpoint"])
            self.known["notes"] += tuple(trained["notes"])
            # A reshaped model that nobody trained yet says nothing.
            if index >= done and step.stage is Stage.TRAIN and index + 1 < len(steps):
                self._rung(Candidate(steps[: index + 1]), checkpoints)
        artifact = evaluator.build(candidate, checkpoints, False, self)
        self._keep(artifact)
        for target in evaluator.config.target:
            self.known["measurements"] |= evaluator.time(artifact, target, self)
        self._stop_before_dear_scoring()
        self.known["measurements"] |= evaluator.measure_quality(artifact["artifact"], candidate, self)

    def _keep(self, artifact: dict[str, Any]) -> None:
        self.known["measurements"] |= {
            "file_bytes": Measurement(artifact["file_bytes"], "B", {"computed from": "the file"}),
            "deflated_bytes": Measurement(artifact["deflated_bytes"], "B", {"computed by": "zlib.compress(file, 9)"}),
        }
        self.known |= {
            "artifact": f"artifacts/{artifact['artifact']}",
            "sha256": artifact["sha256"],
            "structure": artifact["structure"],
            "operators": artifact["operators"],
            "invariants": tuple(artifact["invariants"]),
            "notes": (*self.candidate.details, *self.known["notes"], *artifact["notes"]),
        }

    def _probe(self) -> None:
        """Size and latency hardly depend on trained values: measure a one-shot copy, and stop what cannot fit a budget."""
        evaluator = self.evaluator
        if not evaluator.config.budgets:
            return
        artifact = evaluator.build(self.candidate, [], True, self)
        values = {name: float(artifact[name]) / (1 + margin) for name, margin in PROBE_MARGIN.items()}
        for target in evaluator.config.target:
            latency = f"latency_us:{target}"
            values[latency] = evaluator.time(artifact, target, self)[latency].value * (1 - TIME_MARGIN)
        budgets = [budget for budget in evaluator.config.budgets if budget.measurement in values]
        broken = {budget.name: budget.violation(values[budget.measurement]) for budget in budgets}
        worst = [budget for budget in budgets if broken[budget.name] > 0]
        if worst:
            probed = {"probe": "an untrained one-shot copy, with the probe's margin taken off"}
            self.known["measurements"] |= {
                f"probe.{name}": Measurement(value, "us" if "latency" in name else "B", probed)
                for name, value in values.items()
            }
            told = ", ".join(f"{b.name} {b.text}: {b.show(values[b.measurement])} at best" for b in worst)
            raise Gate("probe", f"an untrained copy already breaks a budget ({told})", broken)

    def _rung(self, prefix: Candidate, checkpoints: list[str]) -> None:
        """Between two trainings: stop when the first one has lost more than the later ones are known to bring back."""
        evaluator = self.evaluator
        budgets = [budget for budget in evaluator.config.budgets if budget.measurement in ("drop", "metric")]
        if not budgets:
            return
        float_file = Candidate((*prefix.steps, STEPS["float32"]()))
        artifact = evaluator.build(float_file, checkpoints, False, self)
        found = evaluator.measure_quality(artifact["artifact"], float_file, self)
        better = RUNG_SLACK if evaluator.metric.bounded else RUNG_SLACK * abs(found["metric"].value)
        sign = 1.0 if evaluator.metric.direction == "maximize" else -1.0
        hopeful = {"drop": found["drop"].value - RUNG_SLACK, "metric": found["metric"].value + sign * better}
        broken = {budget.name: budget.violation(hopeful[budget.measurement]) for budget in budgets}
        if any(value > 0 for value in broken.values()):
            conditions = {"rung": f"the float file after {prefix.label}, {RUNG_SLACK:.0%} better"}
            self.known["measurements"] |= {
                f"probe.{name}": Measurement(value, found[name].unit, conditions) for name, value in hopeful.items()
            }
            lost = f"{prefix.label} alone loses {found['drop'].value:.1%}"
            raise Gate("rung", f"{lost}, more than the steps after it bring back", broken)

    def _stop_before_dear_scoring(self) -> None:
        evaluator, measured = self.evaluator, self.known["measurements"]
        budgets = [budget for budget in evaluator.config.budgets if budget.measurement.startswith("latency_us")]
        broken = {budget.name: budget.violation(measured[budget.measurement].value) for budget in budgets}
        latency = measured[evaluator.config.latency_measurement].value
        seconds = latency * 1e-6 * evaluator.inspection.data.counts["search"] / _cores()
        if (
            any(value > 0 for value in broken.values())
            and seconds > CHEAP_SCORING_SECONDS
            and evaluator.baseline is not None
        ):
            reason = f"it breaks the latency budget, and scoring it would take about {seconds:.0f} s"
            raise Gate("latency", reason, broken)


def _machine() -> str:
    import platform

    return f"{platform.node()} {platform.machine()}"


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
