"""The probe: an untrained one-shot copy of a candidate, measured before anything is trained."""

import dataclasses

from litetuner.objectives.measurement import Measurement
from litetuner.search.evaluation.candidate_jobs import score_job
from litetuner.search.evaluation.gates import cost_gate, of_the_metric, peers_gate, suits_gate
from litetuner.search.evaluation.measured import Measured, Stopped, keeping
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import (
    build,
    file_measurements,
    measure_flash,
    run_job,
    time_on,
    types_of,
    with_decoding,
)
from litetuner.search.evaluation.upper_bounds import UNTRAINED
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.trial import find_baseline
from litetuner.spaces.building.jobs import FinishResult
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import TargetLost


def probe(candidate: Candidate, services: Services, history: History, measured: Measured) -> Measured:
    """Measure a one-shot copy of a candidate, and stop the candidate if it is not worth training.

    Size, memory and latency hardly depend on trained values. The candidate is stopped if it cannot meet a budget, if
    it is dominated even without an accuracy drop, if a target or the profile cannot run it, or if its drop is
    probably too large, because that of easier candidates was. Targets that are away are skipped.
    """
    criteria = services.criteria
    finished, measured = build(services, candidate.probed, (), measured, untrained=True)
    operators, targets = finished.artifact.operators, services.availability.targets
    with keeping(measured):
        suits_gate(operators, types_of(finished), targets, criteria, is_baseline=False)
    untrained, measured = _costs(finished, services, history, measured)
    measured = measured.adding({UNTRAINED + name: found for name, found in untrained.items()})
    with keeping(measured):
        cost_gate(untrained, history, criteria)
    if not of_the_metric(criteria):
        return measured
    job = dataclasses.replace(score_job(services, finished.name, candidate), limit=POLICY.gates.untrained_samples)
    scored, measured = run_job(services, job, measured)
    measured = measured.adding({UNTRAINED + "metric": scored.metric})
    with keeping(measured):
        peers_gate(candidate, untrained | {"metric": scored.metric}, history, criteria)
    return measured


def _costs(
    finished: FinishResult, services: Services, history: History, measured: Measured
) -> tuple[dict[str, Measurement], Measured]:
    copy = {"of": "an untrained one-shot copy"}
    found = file_measurements(finished)
    found |= {name: dataclasses.replace(found[name], environment=copy) for name in ("file_bytes", "compressed_bytes")}
    flash, measured = measure_flash(services, finished, measured)
    found |= flash | with_decoding(found, flash)
    for target in services.criteria.targets:
        if services.availability.targets[target].by_content:
            continue  # measurements there depend on the trained values
        try:
            timed, measured = time_on(services, finished.ref, target, find_baseline(history.trials), measured)
        except Stopped as stop:
            if not isinstance(stop.cause, TargetLost):
                raise
            measured = stop.measured  # reported later, when the candidate itself needs that target
        else:
            found[f"latency_us:{target}"] = timed[f"latency_us:{target}"]
    return found, measured
