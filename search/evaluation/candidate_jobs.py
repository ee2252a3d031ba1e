"""The jobs that a candidate consists of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from litetuner.objectives.scoring.jobs import CompareJob, ScoreJob, ScoreResult
from litetuner.search.config.units import BYTES, parse
from litetuner.search.evaluation.services import Services
from litetuner.search.runtime.jobs import TimeJob
from litetuner.search.runtime.machine import usable_cores
from litetuner.search.seeds import derive
from litetuner.spaces.building.jobs import ConvertJob, FileRef, FinishJob, TrainJob
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.jobs.job import Kind, Limits
from litetuner.spaces.step import Stage

TRAIN_PATIENCE = 8.0  # times the estimate, then a training is taken for hung
SECONDS: dict[Kind, float] = {"train": 900.0, "convert": 900.0, "score": 1800.0, "time": 120.0, "inspect": 1800.0}


def limits(max_job_memory: str, kind: Kind, seconds: float = 0.0) -> Limits:
    """What a job of a kind may use."""
    return Limits(seconds or SECONDS[kind], int(parse(max_job_memory, BYTES, "max-job-memory")))


def training_seed(services: Services, candidate: Candidate) -> int:
    """The seed of a candidate's training: of (root, prefix), so that equal prefixes are one training."""
    return derive(services.config.seed, candidate.prefix.key)


def train_job(services: Services, candidate: Candidate, index: int, parents: Sequence[str]) -> TrainJob:
    """The training of the step at ``index`` of a candidate's prefix."""
    config, inspection = services.config, services.inspection
    prefix = Candidate(candidate.prefix.steps[: index + 1])
    epochs = prefix.steps[-1].knobs().get("epochs", 1.0)
    seconds = max(SECONDS["train"], TRAIN_PATIENCE * (inspection.seconds_per_epoch or 60.0) * epochs)
    return TrainJob(
        environment=services.environment,
        limits=limits(config.max_job_memory, "train", seconds),
        inspected=inspection.inspected,
        seed=derive(config.seed, prefix.key),
        batch_size=config.batch_size,
        calibration=config.calibration,
        prefix=prefix,
        parents=tuple(parents),
    )


def missing_training(services: Services, candidate: Candidate) -> tuple[TrainJob | None, list[str]]:
    """The first training of a candidate that is not done, and the checkpoints of those before it."""
    found: list[str] = []
    for index in range(len(candidate.prefix.steps)):
        job = train_job(services, candidate, index, found)
        stored = services.cache.stored(job)
        if stored is None:
            return job, found
        found.append(stored.value.checkpoint)
    return None, found


def known_checkpoints(services: Services, candidate: Candidate) -> list[str]:
    """The checkpoints of a prefix that some trial has trained, in order."""
    found: list[str] = []
    for index in range(len(candidate.prefix.steps)):
        known = services.cache.known(train_job(services, candidate, index, found))
        if known is None:
            break
        found.append(known.value.checkpoint)
    return found


def convert_job(services: Services, candidate: Candidate, checkpoints: Sequence[str], untrained: bool) -> ConvertJob:
    """The conversion of a candidate's trained part; candidates that differ in rewrites share it."""
    config = services.config
    return ConvertJob(
        environment=services.environment,
        limits=limits(config.max_job_memory, "convert"),
        inspected=services.inspection.inspected,
        seed=config.seed,
        batch_size=config.batch_size,
        calibration=config.calibration,
        candidate=Candidate((*candidate.prefix.steps, *candidate.of_stage(Stage.CONVERT))),
        checkpoints=tuple(checkpoints),
        untrained=untrained,
    )


def finish_job(converted: ConvertJob, candidate: Candidate, file: str) -> FinishJob:
    """The rewrites of a converted file. It must have the shapes that the last reshaping step decided."""
    cuts = [at for at, step in enumerate(candidate.prefix.steps) if step.stage is Stage.RESHAPE]
    return FinishJob(
        environment=converted.environment,
        limits=converted.limits,
        inspected=converted.inspected,
        seed=converted.seed,
        batch_size=converted.batch_size,
        calibration=converted.calibration,
        candidate=candidate,
        file=file,
        untrained=converted.untrained,
        cut=converted.checkpoints[cuts[-1]] if cuts and not converted.untrained else None,
    )


def score_job(services: Services, artifact: str, candidate: Candidate, split: str = "search") -> ScoreJob:
    """The score of a finished file on a whole split."""
    (convert,) = candidate.of_stage(Stage.CONVERT)
    io = convert.knobs().get("io")
    return ScoreJob(
        environment=services.environment,
        limits=limits(services.config.max_job_memory, "score"),
        inspected=services.inspection.inspected,
        artifact=artifact,
        split=split,
        limit=0,
        metric=services.config.metric,
        seed=services.config.seed,
        threads=usable_cores(),
        io=None if io is None else (io, io),
        keep_predictions=False,
    )


def drop_job(services: Services, baseline: ScoreResult, own: ScoreResult, split: str) -> CompareJob:
    """How much two scores differ on the same samples."""
    return CompareJob(
        environment=services.environment,
        limits=limits(services.config.max_job_memory, "score"),
        inspected=services.inspection.inspected,
        split=split,
        metric=services.config.metric,
        seed=services.config.seed,
        value=baseline.metric.value,
        first_each=baseline.each,
        first_predictions=baseline.predictions,
        second_each=own.each,
        second_predictions=own.predictions,
    )


def gap_job(services: Services, original: str, own: ScoreResult) -> CompareJob:
    """How much the float file differs from the user's own model, of whose predictions ``original`` is the blob."""
    found = drop_job(services, own, own, "search")
    return dataclasses.replace(found, value=None, first_each=None, first_predictions=original)


def time_job(services: Services, file: FileRef, target: str, baseline: str, occasion: str) -> TimeJob:
    """The timing of a file beside the baseline's file on a target, by its name."""
    config = services.config
    names = list(config.targets)
    spec = config.target[names.index(target)]
    return TimeJob(
        environment=services.environment,
        limits=limits(config.max_job_memory, "time"),
        structure=file.structure,
        baseline=baseline,
        target=target,
        described=dict(services.availability.targets[target].describe()),
        threads=config.threads,
        occasion=occasion,
        file=file.name,
        spec=spec,
    )
