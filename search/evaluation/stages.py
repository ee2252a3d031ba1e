"""The stages of an evaluation: train, build, time, score. Each adds its measurements to those made so far."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.scoring.jobs import CompareResult, ScoreResult
from litetuner.search.evaluation.candidate_jobs import (
    convert_job,
    drop_job,
    finish_job,
    flash_job,
    gap_job,
    score_job,
    target_score_job,
    time_job,
    train_job,
)
from litetuner.search.evaluation.gates import Unsuited
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.runtime.awake import awake_seconds
from litetuner.search.runtime.jobs import TimeResult
from litetuner.search.trial import Trial
from litetuner.spaces.building.jobs import FileRef, FinishResult
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import CandidateError, TargetLost
from litetuner.spaces.jobs.job import Job, R


def run_job(services: Services, job: Job[R], measured: Measured) -> tuple[R, Measured]:
    """The result of a job, and ``measured`` with its seconds. Raises ``Stopped``, also with them, if the job fails."""
    started = awake_seconds()
    try:
        found = services.cache.run(job, services.log)
    except CandidateError as error:
        raise Stopped(error, measured.after(job.kind, awake_seconds() - started)) from error
    return found.value, measured.after(job.kind, found.seconds)


def train_step(
    services: Services, candidate: Candidate, checkpoints: tuple[str, ...], measured: Measured
) -> tuple[tuple[str, ...], Measured]:
    """Train the next step of the prefix, and add its checkpoint to ``checkpoints``."""
    trained, measured = run_job(services, train_job(services, candidate, len(checkpoints), checkpoints), measured)
    return (*checkpoints, trained.checkpoint), measured.noting(*trained.notes)


def train_all(services: Services, candidate: Candidate, measured: Measured) -> tuple[tuple[str, ...], Measured]:
    checkpoints: tuple[str, ...] = ()
    for _ in candidate.prefix.steps:
        checkpoints, measured = train_step(services, candidate, checkpoints, measured)
    return checkpoints, measured


def build(
    services: Services,
    candidate: Candidate,
    checkpoints: Sequence[str],
    measured: Measured,
    *,
    untrained: bool = False,
) -> tuple[FinishResult, Measured]:
    """Convert and finish a candidate's file. With ``untrained``, only masks and centroids are set, without training."""
    job = convert_job(services, candidate, checkpoints, untrained)
    converted, measured = run_job(services, job, measured)
    return run_job(services, finish_job(job, candidate, converted.file), measured.noting(*converted.notes))


def time_on(
    services: Services, file: FileRef, target: str, baseline: Trial | None, measured: Measured, occasion: str = "search"
) -> tuple[dict[str, Measurement], Measured]:
    """The measurements of a file on the target with this name; files with the same structure share them.

    If another file was measured, ``borrowed_from`` in each measurement names it. Raises ``Stopped`` if the target is
    away (``TargetLost``; without an attempt if this is known) or cannot run the file (``Unsuited``).
    """
    base = artifact_of(baseline) or file.name
    if services.availability.targets[target].by_content:
        file = FileRef(file.name, file.name)
    job = time_job(services, file, target, base, occasion)
    known, away = services.cache.known(job) is not None, services.availability.away
    if not known and target in away:
        raise Stopped(TargetLost(away[target], target), measured)
    try:
        found, measured = run_job(services, job, measured)
    except Stopped as stop:
        if isinstance(stop.cause, TargetLost):
            services.availability.lost(target, str(stop))
        raise
    if not known:
        services.availability.answered(target)
    if found.misfit and file.name == base:
        measured = dataclasses.replace(measured, misfits={**measured.misfits, target: found.misfit})
    elif found.misfit:
        raise Stopped(Unsuited(f"the target {target}: {found.misfit}", f"target {target}"), measured)
    timed = read_timing(found, target, baseline=file.name == base)
    if found.file != file.name:
        mark = {"borrowed_from": {"file": found.file}}
        timed = {name: dataclasses.replace(value, extra=value.extra | mark) for name, value in timed.items()}
    return timed, measured


def read_timing(timed: TimeResult, target: str, *, baseline: bool = False) -> dict[str, Measurement]:
    """All measurements from a target: latency, ratio (for the ``baseline`` 1 by definition), memory, energy, others."""
    found = {f"{kind}:{target}": value for kind, value in timed.others.items()}
    latency = timed.latency_us
    if latency is None:
        return found
    around = latency.environment
    found[f"latency_us:{target}"] = latency
    if timed.ratio is not None:
        ratio = 1.0 if baseline else timed.ratio
        found[f"latency_ratio:{target}"] = Measurement(ratio, "baseline / this", {"interleaved": True} | around)
    peak = latency.extra.get("peak_rss_bytes")
    if peak is not None:
        found[f"peak_rss_bytes:{target}"] = Measurement(peak, "bytes", around)
    energy = latency.extra.get("energy_uj") or {}
    if "value" in energy:  # without a value, it says why there is none
        told = dict(energy)
        value, interval, rounds = told.pop("value"), told.pop("interval"), told.pop("rounds")
        shape = None if interval is None else (interval[0], interval[1])
        found[f"energy_uj:{target}"] = Measurement(value, "uJ", around, shape, tuple(rounds), told)
    return found


def time_everywhere(
    services: Services, file: FileRef, baseline: Trial | None, measured: Measured, occasion: str = "search"
) -> Measured:
    """Time a file on every target. A target that is away is skipped, so that the other measurements need not wait."""
    for target in services.criteria.targets:
        try:
            found, measured = time_on(services, file, target, baseline, measured, occasion)
            measured = measured.adding(found)
        except Stopped as stop:
            if not isinstance(stop.cause, TargetLost):
                raise
            measured = stop.measured.without(target, str(stop))
    return measured


def measure_quality(
    services: Services, artifact: str, candidate: Candidate, baseline: Trial | None, measured: Measured
) -> tuple[dict[str, Measurement], Measured]:
    """The metric on the search split and the accuracy drop; for the baseline also its ``conversion_gap``."""
    scored, measured = run_job(services, score_job(services, artifact, candidate), measured)
    measured = dataclasses.replace(measured, each=scored.each)
    drop, measured = measure_drop(services, scored, baseline, "search", measured)
    found = {"metric": scored.metric, "drop": drop}
    original = services.inspection.original
    if baseline is None and original is not None:
        compared, measured = run_job(services, gap_job(services, original, scored), measured)
        found |= conversion_gap(services, compared)
    return found, measured


def score_on_targets(services: Services, finished: FinishResult, candidate: Candidate, measured: Measured) -> Measured:
    """Add the metric on each target that runs samples (``metric:<target>``), and note how many outputs differ."""
    for target in services.criteria.targets:
        place = services.availability.targets[target]
        if not place.samples or target in measured.misfits or target in measured.unanswered:
            continue
        job = target_score_job(services, finished.name, candidate, target)
        scored, measured = run_job(services, job, measured)
        around = scored.metric.environment
        measured = measured.adding({f"metric:{target}": scored.metric})
        if "equal" not in around:
            measured = measured.noting(f"{target}: outputs were not compared ({around.get('reference')})")
        elif around["equal"] < around["samples"]:
            said = f"{around['samples'] - around['equal']} of {around['samples']} samples"
            said += f" differ from {around['reference']}, by at most {around['largest']:g} steps"
            measured = measured.noting(f"{target}: the outputs of {said}")
    return measured


def measure_flash(
    services: Services, finished: FinishResult, measured: Measured
) -> tuple[dict[str, Measurement], Measured]:
    """``flash_bytes``, if objectives or budgets need it: the size in flash, with look-up tables if they save bytes."""
    if "flash_bytes" not in services.criteria.needed:
        return {}, measured
    found, measured = run_job(services, flash_job(services, finished.name), measured)
    if found.file is None:
        around: dict[str, Any] = {"stored": f"as it is: {found.reason}"}
        return {"flash_bytes": Measurement(finished.artifact.file_bytes, "B", around)}, measured
    around = {"stored": f"{len(found.tables)} weight tensors as look-up tables (TFLite Micro's DECODE)"}
    around |= {"proved_on_samples": found.samples, "added_arena_bytes": found.arena_bytes}
    extra = {"file": found.file, "tables": [list(table) for table in found.tables]}
    return {"flash_bytes": Measurement(found.size, "B", around, extra=extra)}, measured


def with_decoding(measured: Mapping[str, Measurement], flash: Mapping[str, Measurement]) -> dict[str, Measurement]:
    """The arena sizes of ``measured``, plus what decoding the look-up tables of ``flash`` needs.

    A device runs the file with the tables, so both measurements must be of that file. Empty if nothing is added.
    """
    added = flash["flash_bytes"].environment.get("added_arena_bytes", 0) if "flash_bytes" in flash else 0
    said = {"decoding": f"{added:,} bytes of it for weights that are stored as look-up tables"}
    return {
        name: dataclasses.replace(found, value=found.value + added, environment=found.environment | said)
        for name, found in measured.items()
        if added and name.partition(":")[0] == "arena_bytes"
    }


def measure_drop(
    services: Services, own: ScoreResult, baseline: Trial | None, split: str, measured: Measured
) -> tuple[Measurement, Measured]:
    """The drop against the baseline, paired on the same samples: in points if the metric is bounded, else relative."""
    base, name = own, artifact_of(baseline)
    if baseline is not None and name is not None:
        base, measured = run_job(services, score_job(services, name, baseline.candidate, split), measured)
    compared, measured = run_job(services, drop_job(services, base, own, split), measured)
    found = paired(services, compared, "baseline", split, services.inspection.data.counts[split])
    assert found is not None  # two scores of one metric can always be compared
    return found, measured


def conversion_gap(services: Services, compared: CompareResult) -> dict[str, Measurement]:
    """``keras_metric``, the score of the user's own model, and ``conversion_gap``, how much worse the float file is.

    The difference is paired. Empty if the scores cannot be paired.
    """
    gap = paired(services, compared, "original", "search", compared.samples)
    conditions = {"split": "search", "samples": compared.samples, "runtime": "Keras"}
    if gap is None:
        return {}
    return {"keras_metric": Measurement(compared.value, services.metric.name, conditions), "conversion_gap": gap}


def paired(services: Services, compared: CompareResult, against: str, split: str, samples: int) -> Measurement | None:
    """The paired difference, above 0 if the second score is worse; ``None`` if there is nothing to pair.

    It is in points for metrics within [0, 1], else relative to the first score.
    """
    if compared.difference is None:
        return None
    metric = services.metric
    sign = 1.0 if metric.direction == "maximize" else -1.0
    scale = sign if metric.bounded else sign / (abs(compared.value) or 1.0)
    unit = "points" if metric.bounded else f"relative to the {against}"
    environment = {"split": split, "samples": samples, "paired": True}
    if compared.interval is None:  # the metric takes too long to be resampled
        return Measurement(compared.difference * scale, unit, environment)
    low, high = sorted(end * scale for end in compared.interval)
    return Measurement(compared.difference * scale, unit, environment, (low, high))


def artifact_of(trial: Trial | None) -> str | None:
    return Path(trial.artifact).name if trial is not None and trial.artifact is not None else None


def file_measurements(finished: FinishResult) -> dict[str, Measurement]:
    """The measurements that follow from the bytes of a file alone."""
    artifact, how = finished.artifact, {"computed by": "zlib.compress(file, 9)"}
    return {
        "file_bytes": Measurement(artifact.file_bytes, "B", {"computed from": "the file"}),
        "compressed_bytes": Measurement(artifact.compressed_bytes, "B", how),
    } | {name: Measurement.from_json(cost) for name, cost in finished.costs.items()}


def types_of(finished: FinishResult) -> dict[str, tuple[str, ...]]:
    ports = dataclasses.asdict(finished.artifact)
    return {kind: tuple(port["dtype"] for port in ports[kind]) for kind in ("inputs", "outputs")}
