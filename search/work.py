"""One candidate on its way from probe to scores; what was measured survives a failure."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litetuner.objectives.measurement import Measurement
from litetuner.search.gates import latency_gate, probe_gate, rung_gate
from litetuner.search.job import Job
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Stage

if TYPE_CHECKING:
    from litetuner.search.evaluate import Evaluator


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
        steps, done = candidate.prefix.steps, len(evaluator.checkpoints(candidate))
        if done < len(steps):
            probe_gate(self)
        checkpoints: list[str] = []
        for index, step in enumerate(steps):
            trained = self.run(evaluator.train_job(candidate, index, list(checkpoints)))
            checkpoints.append(trained["checkpoint"])
            self.known["notes"] += tuple(trained["notes"])
            # A reshaped model that nobody trained yet says nothing.
            if index >= done and step.stage is Stage.TRAIN and index + 1 < len(steps):
                rung_gate(self, Candidate(steps[: index + 1]), checkpoints)
        artifact = evaluator.build(candidate, checkpoints, False, self)
        self._keep(artifact)
        for target in evaluator.config.target:
            self.known["measurements"] |= evaluator.time(artifact, target, self)
        latency_gate(self)
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
