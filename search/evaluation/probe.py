"""The probe: a one-shot copy of a candidate, measured before anything is trained."""

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
    """Size, memory and latency hardly depend on trained values: measure a one-shot copy, and stop what is not worth training.

    That is what cannot fit a budget, what is dominated even if training loses nothing, what its machine could not run, and
    what is likely to lose too much, since easier ones did. A target that is away says nothing here.
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
            continue  # the values of an untrained copy say nothing there
        try:
            timed, measured = time_on(services, finished.ref, target, find_baseline(history.trials), measured)
        except Stopped as stop:
            if not isinstance(stop.cause, TargetLost):
                raise
            measured = stop.measured  # it is told once the candidate needs that target
        else:
            found[f"latency_us:{target}"] = timed[f"latency_us:{target}"]
    return found, measured
