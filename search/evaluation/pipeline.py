"""One candidate on its way from probe to scores; what was measured survives a failure."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litetuner.objectives.measurement import Measurement
from litetuner.search.evaluation.gates import latency_gate, ports_of, probe_gate, rung_gate, suits_gate
from litetuner.search.runtime.jobs import Job
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed, HostError, TargetLost
from litetuner.spaces.step import Stage

if TYPE_CHECKING:
    from litetuner.search.evaluation.evaluator import Evaluator


class Work:
    """One candidate on its way; ``known`` grows, so that what was measured survives a failure."""

    def __init__(self, evaluator: Evaluator, candidate: Candidate, log: Path | None = None) -> None:
        self.evaluator = evaluator
        self.candidate = candidate
        self._log = log
        self.known: dict[str, Any] = {"measurements": {}, "seconds": {}, "notes": ()}
        self.is_baseline = candidate.is_baseline  # the original, which is no product
        self.unanswered: dict[str, str] = {}  # targets that were away, and why

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
        steps = candidate.prefix.steps
        # Not: is it in the cache? A killed search, asked again, must judge as an undisturbed one.
        new = bool(steps) and not evaluator.told.trained(candidate.prefix)
        if new:
            probe_gate(self)
        checkpoints: list[str] = []
        for index, step in enumerate(steps):
            trained = self.run(evaluator.train_job(candidate, index, list(checkpoints)))
            checkpoints.append(trained["checkpoint"])
            self.known["notes"] += tuple(trained["notes"])
            # A reshaped model that nobody trained yet says nothing.
            if new and step.stage is Stage.TRAIN and index + 1 < len(steps):
                rung_gate(self, Candidate(steps[: index + 1]), checkpoints)
        evaluator.trained(candidate)  # from here on another training fits beside this trial
        artifact = evaluator.build(candidate, checkpoints, False, self)
        self._keep(artifact)
        suits_gate(self, artifact)
        self.time(artifact)
        latency_gate(self)
        self.known["measurements"] |= evaluator.measure_quality(artifact["artifact"], candidate, self)
        self._complete()

    def time(self, artifact: dict[str, Any], occasion: str = "search") -> None:
        """Time a file on every target. One that is away is passed over: what else can be measured need not wait for it."""
        for target in self.evaluator.terms.targets:
            try:
                self.known["measurements"] |= self.evaluator.time(artifact, target, self, occasion)
            except TargetLost as error:
                self.unanswered[target] = str(error)

    def _complete(self) -> None:
        """Is all there that objectives and budgets stand on? What waits for a target is ``TargetLost``, with its name."""
        needed = set(self.evaluator.terms.needed)
        for target, reason in self.unanswered.items():
            # The original is what all others are compared with, on every target.
            if f"latency_us:{target}" in needed or self.is_baseline:
                raise TargetLost(f"{reason}; it waits until {target} answers", target)
            self.known["notes"] += (f"not timed on {target}, which was away: {reason}",)
        missing = sorted(needed - set(self.known["measurements"]))
        if missing and self.is_baseline:
            raise HostError(
                f"{', '.join(missing)} cannot be measured here, and an objective or a budget needs it. "
                "Leave that out, or choose a target that tells it (`litetuner doctor` says what each can do)."
            )
        if missing:
            raise BuildFailed(f"{', '.join(missing)} could not be measured")

    def _keep(self, artifact: dict[str, Any]) -> None:
        self.known["measurements"] |= {
            "file_bytes": Measurement(artifact["file_bytes"], "B", {"computed from": "the file"}),
            "compressed_bytes": Measurement(
                artifact["compressed_bytes"], "B", {"computed by": "zlib.compress(file, 9)"}
            ),
        } | {name: Measurement.from_json(fact) for name, fact in artifact["facts"].items()}
        self.known |= {
            "artifact": f"artifacts/{artifact['artifact']}",
            "sha256": artifact["sha256"],
            "structure": artifact["structure"],
            "operators": artifact["operators"],
            "ports": ports_of(artifact),
            "invariants": tuple(artifact["invariants"]),
            "notes": (*self.candidate.details, *self.known["notes"], *artifact["notes"]),
        }
