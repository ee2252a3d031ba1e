"""An outcome as the trial that is written down."""

from __future__ import annotations

import dataclasses
from typing import Any

from litetuner.search.criteria import judged
from litetuner.search.evaluation.candidate_jobs import training_seed
from litetuner.search.evaluation.evaluate import Outcome
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import types_of
from litetuner.search.runs.study import Asked
from litetuner.search.trial import Trial


def trial_of(asked: Asked, outcome: Outcome, services: Services) -> Trial:
    """The trial of a candidate that was asked for, judged by the budgets of today."""
    measured, finished = outcome.measured, outcome.measured.finished
    kept: dict[str, Any] = {}
    if finished is not None:
        kept = {
            "artifact": f"artifacts/{finished.name}",
            "sha256": finished.artifact.sha256,
            "structure": finished.artifact.structure,
            "operators": finished.artifact.operators,
            "ports": types_of(finished),
            "invariants": tuple(dataclasses.asdict(finding) for finding in finished.invariants),
        }
    trial = Trial(
        number=asked.number,
        candidate=asked.candidate,
        state=outcome.state,
        origin=asked.origin,
        seed=training_seed(services, asked.candidate),
        measurements=dict(measured.measurements),
        constraints=outcome.constraints,
        gate=outcome.gate,
        reason=outcome.reason,
        waits_for=outcome.waits_for,
        params=asked.params,
        notes=measured.notes,
        seconds={str(kind): seconds for kind, seconds in measured.seconds.items()},
        environment=services.environment,
        **kept,
    )
    return judged(trial, services.criteria)
