"""Ablation: what each step of the best file contributes, by training and measuring the candidate without it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from litetuner.search.clock import Clock
from litetuner.search.evaluation.candidate_jobs import known_checkpoints
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import build, measure_quality, time_on, train_all
from litetuner.search.policy import POLICY
from litetuner.search.runs.record import RunRecord, read_run
from litetuner.search.trial import Trial
from litetuner.spaces.building.jobs import FileRef
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.steps import step_for


def ablate(services: Services, clock: Clock, stop: Callable[[], str | None], known: Sequence[Trial]) -> None:
    """Measure the best file without each of its steps, if rules and time allow: ``ablation`` in ``finals.json``."""
    run = read_run(services.folder.path, known)
    best = run.picks.get("best")
    record = services.folder.read("finals") or {}
    if best is None or (record.get("ablation") or {}).get("trial") == best.number:
        return
    steps = []
    for without, candidate in rests(best.candidate):
        if stop() or broken_rules(candidate, services.constraints):
            continue
        found = _known(run, candidate) or _measured(services, candidate, run.baseline, clock)
        if found is not None:
            steps.append({"without": without, "label": candidate.label} | found)
    services.folder.write("finals", record | {"ablation": {"trial": best.number, "steps": steps}})
    clock.save()


def rests(candidate: Candidate) -> Iterator[tuple[str, Candidate]]:
    """Each step's name, and the candidate without the step; later steps no longer preserve what the step made."""
    for at, gone in enumerate(candidate.steps):
        recovers = gone.role is Role.FINE_TUNE and candidate.of_stage(Stage.RESHAPE)
        if gone.role in (Role.SLIM, Role.FLOAT) or recovers:
            continue  # fine-tuning recovers pruned channels: the model is broken without it
        rest = [_free(step, gone.makes) for place, step in enumerate(candidate.steps) if place != at]
        if gone.stage is Stage.RESHAPE:
            alone = len(candidate.of_stage(Stage.TRAIN)) == 1
            rest = [step for step in rest if step.role is not Role.FINE_TUNE or alone]
        if gone.stage is Stage.CONVERT:
            rest.insert(at, step_for(Role.FLOAT)())
        yield gone.name, Candidate(tuple(rest))


def _free(step: Step, gone: str) -> Step:
    return dataclasses.replace(step, **{step.preserves[gone]: False}) if gone in step.preserves else step


def _known(run: RunRecord, candidate: Candidate) -> dict[str, Any] | None:
    for trial in run.trials:
        if trial.candidate == candidate and trial.state.scored and trial.duplicate_of is None:
            values = {name: trial.value(name) for name in ("metric", "drop", "file_bytes", "compressed_bytes")}
            return values | {"latency_us": trial.value(run.config.latency_measurement), "trial": trial.number}
    return None


def _measured(services: Services, candidate: Candidate, baseline: Trial | None, clock: Clock) -> dict[str, Any] | None:
    limit = services.config.seconds
    left = POLICY.ablation.untimed_seconds if limit is None else limit - clock.wall
    if _seconds(services, candidate) > left:
        return None
    try:
        checkpoints, measured = train_all(services, candidate, Measured())
        finished, measured = build(services, candidate, checkpoints, measured)
        file = FileRef(finished.name, finished.name)  # the file itself is timed, as the best file was
        timed, measured = time_on(services, file, services.config.targets[0], baseline, measured)
        scored, measured = measure_quality(services, finished.name, candidate, baseline, measured)
    except Stopped as stop:
        clock.count(stop.measured.seconds)
        services.folder.note("ablation failed", label=candidate.label, reason=str(stop))
        return None
    clock.count(measured.seconds)
    artifact, latency = finished.artifact, timed.get(services.config.latency_measurement)
    return {
        "file_bytes": float(artifact.file_bytes),
        "compressed_bytes": float(artifact.compressed_bytes),
        "metric": scored["metric"].value,
        "drop": scored["drop"].value,
        "latency_us": None if latency is None else latency.value,
    }


def _seconds(services: Services, candidate: Candidate) -> float:
    """The expected seconds of the training steps that are not done yet."""
    done = len(known_checkpoints(services, candidate))
    epoch = services.inspection.seconds_per_epoch or 0.0
    epochs = [float(step.knobs().get("epochs", 0.0)) for step in candidate.prefix.steps[done:]]
    return sum(POLICY.ablation.start_seconds + POLICY.ablation.longest_step * epoch * count for count in epochs)
