"""The evaluation of a candidate: probe, train, build, time, score; cheap stages come before expensive ones."""

import dataclasses
from typing import Any

from litetuner.search.criteria import judged
from litetuner.search.evaluation.candidate_jobs import training_seed
from litetuner.search.evaluation.gates import Gate, Unsuited, latency_gate, of_the_metric, rung_gate, suits_gate
from litetuner.search.evaluation.measured import Measured, Stopped, keeping
from litetuner.search.evaluation.probe import probe
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import (
    build,
    file_measurements,
    measure_flash,
    measure_quality,
    score_on_targets,
    time_everywhere,
    train_step,
    types_of,
    with_decoding,
)
from litetuner.search.history import History
from litetuner.search.runs.optuna_trials import Asked
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed, CandidateError, HostError, Lost, Refused, TargetLost
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.step import Role, Stage
from litetuner.spaces.steps import step_for


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a candidate: its state, the reason, and all measurements."""

    state: State
    measured: Measured
    gate: str | None = None
    reason: str | None = None
    constraints: dict[str, float] = dataclasses.field(default_factory=dict)
    waits_for: str | None = None


def evaluate(candidate: Candidate, services: Services, history: History) -> Outcome:
    """Evaluate a candidate. Only usage errors, ``HostError`` and interrupts are raised."""
    try:
        checkpoints, measured = _trained(candidate, services, history)
        return Outcome(State.COMPLETE, _measured(candidate, services, history, checkpoints, measured))
    except Stopped as stop:
        return _outcome(stop.cause, stop.measured)


def _outcome(cause: Gate | CandidateError, measured: Measured) -> Outcome:
    reason = str(cause)
    match cause:
        case Gate():
            return Outcome(State.PRUNED, measured, cause.name, reason, cause.constraints)
        case Refused():
            return Outcome(State.INVALID, measured, cause.gate if isinstance(cause, Unsuited) else None, reason)
        case Lost():
            waits_for = cause.target if isinstance(cause, TargetLost) else None
            return Outcome(State.LOST, measured, None, reason, waits_for=waits_for)
        case _:
            return Outcome(State.FAILED, measured, None, reason)


def _trained(candidate: Candidate, services: Services, history: History) -> tuple[tuple[str, ...], Measured]:
    """Check the rules, probe the candidate if its prefix is new, and train step by step."""
    with keeping(Measured()):
        reasons = broken_rules(candidate, services.constraints)
        if reasons:
            raise Refused("; ".join(reasons))
    steps, measured = candidate.prefix.steps, Measured()
    # The history decides this, not the cache, so that a search resumed after a kill decides as one that was not killed.
    new = bool(steps) and not history.trained(candidate.prefix)
    if new:
        measured = probe(candidate, services, history, measured)
    checkpoints: tuple[str, ...] = ()
    for index, step in enumerate(steps):
        checkpoints, measured = train_step(services, candidate, checkpoints, measured)
        # The score of a reshaped model says nothing until the model is trained.
        if new and step.stage is Stage.TRAIN and index + 1 < len(steps) and of_the_metric(services.criteria):
            measured = _rung(Candidate(steps[: index + 1]), checkpoints, services, history, measured)
    return checkpoints, measured


def _rung(
    prefix: Candidate, checkpoints: tuple[str, ...], services: Services, history: History, measured: Measured
) -> Measured:
    """Score the float file between two trainings; ``rung_gate`` may stop the candidate."""
    float_file = Candidate((*prefix.steps, step_for(Role.FLOAT)()))
    finished, measured = build(services, float_file, checkpoints, measured)
    baseline = find_baseline(history.trials)
    found, measured = measure_quality(services, finished.name, float_file, baseline, measured)
    with keeping(measured):
        rung_gate(prefix, found, services.metric, services.criteria)
    return measured


def _measured(
    candidate: Candidate, services: Services, history: History, checkpoints: tuple[str, ...], measured: Measured
) -> Measured:
    criteria, baseline = services.criteria, find_baseline(history.trials)
    finished, measured = build(services, candidate, checkpoints, measured)
    notes = (*candidate.details, *measured.notes, *finished.notes)
    measured = dataclasses.replace(measured, finished=finished, notes=notes).adding(file_measurements(finished))
    operators, targets = finished.artifact.operators, services.availability.targets
    with keeping(measured):
        suits_gate(operators, types_of(finished), targets, criteria, is_baseline=candidate.is_baseline)
    measured = time_everywhere(services, finished.ref, baseline, measured)
    flash, measured = measure_flash(services, finished, measured)
    measured = measured.adding(flash | with_decoding(measured.measurements, flash))
    if baseline is not None:
        with keeping(measured):
            latency_gate(measured.measurements, services.inspection.data.counts["search"], criteria)
    found, measured = measure_quality(services, finished.name, candidate, baseline, measured)
    measured = score_on_targets(services, finished, candidate, measured.adding(found))
    return _complete(candidate, services, measured)


def _complete(candidate: Candidate, services: Services, measured: Measured) -> Measured:
    """Check that all measurements exist that objectives and budgets need.

    If not, raises ``Stopped`` because of ``TargetLost`` (with the name of the target that is away) or ``BuildFailed``.
    For the baseline, raises ``HostError`` instead of the latter.
    """
    needed, first = set(services.criteria.needed), candidate.is_baseline
    for target, reason in measured.unanswered.items():
        # All other trials are compared with the baseline on every target.
        if f"latency_us:{target}" in needed or first:
            raise Stopped(TargetLost(f"{reason}; it waits until {target} answers", target), measured)
        measured = measured.noting(f"not timed on {target}, which was away: {reason}")
    excused = {name for name in needed if name.partition(":")[2] in measured.misfits}
    missing = ", ".join(sorted(needed - set(measured.measurements) - excused))
    if missing and first:
        raise HostError(
            f"{missing} cannot be measured here, and an objective or a budget needs it. "
            "Leave that out, or choose a target that reports it (`litetuner doctor` says what each can do)."
        )
    if missing:
        raise Stopped(BuildFailed(f"{missing} could not be measured"), measured)
    return measured


def trial_of(asked: Asked, outcome: Outcome, services: Services) -> Trial:
    """The trial of a candidate, with its state under the current criteria."""
    measured, finished = outcome.measured, outcome.measured.finished
    kept: dict[str, Any] = {}
    if finished is not None:
        kept = {
            "artifact": f"artifacts/{finished.name}",
            "sha256": finished.artifact.sha256,
            "each": measured.each,
            "structure": finished.ref.structure,
            "operators": finished.artifact.operators,
            "io_types": types_of(finished),
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
        misfits=dict(measured.misfits),
        notes=measured.notes,
        seconds={str(kind): seconds for kind, seconds in measured.seconds.items()},
        environment=services.environment,
        **kept,
    )
    return judged(trial, services.criteria)
