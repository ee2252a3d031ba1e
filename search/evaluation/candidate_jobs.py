"""The jobs that evaluate a candidate."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from litetuner.objectives.scoring.jobs import CompareJob, FlashJob, ScoreJob, ScoreResult, TargetScoreJob
from litetuner.search.evaluation.limits import SECONDS, job_limits
from litetuner.search.evaluation.services import Services
from litetuner.search.proposals.seeds import derive
from litetuner.search.runtime.jobs import TimeJob
from litetuner.search.runtime.machine import usable_cores
from litetuner.spaces.building.jobs import ConvertJob, FileRef, FinishJob, MeasureLayersJob, TrainJob
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.jobs.job import Kind
from litetuner.spaces.step import Stage

TRAIN_PATIENCE = 8.0  # a training that takes this many times its estimate counts as hung

# In a search, a file with look-up tables must give the same outputs on this many real samples; an export checks more.
# A table per tensor for weights with scales per channel differed on 20 of 20 samples (benchmarks/microcontrollers.py).
FLASH_SAMPLES = 20


def _common(services: Services, kind: Kind, seconds: float = 0.0) -> dict[str, Any]:
    return {
        "environment": services.environment,
        "limits": job_limits(services.config, kind, seconds, services.clock),
        "inspected": services.inspection.inspected,
        "seed": services.config.seed,
    }


def training_seed(services: Services, candidate: Candidate) -> int:
    """The seed of a training, derived from the run's seed and the prefix, so that equal prefixes are trained once."""
    return derive(services.config.seed, candidate.prefix.key)


def train_job(services: Services, candidate: Candidate, index: int, parents: Sequence[str]) -> TrainJob:
    """The job that trains the step at ``index`` of a candidate's prefix, from the checkpoints ``parents``."""
    config = services.config
    prefix = Candidate(candidate.prefix.steps[: index + 1])
    epochs = prefix.steps[-1].knobs().get("epochs", 1.0)
    seconds = max(SECONDS["train"], TRAIN_PATIENCE * (services.inspection.seconds_per_epoch or 60.0) * epochs)
    return TrainJob(
        **_common(services, "train", seconds) | {"seed": training_seed(services, prefix)},
        batch_size=config.batch_size,
        calibration=config.calibration,
        prefix=prefix,
        parents=tuple(parents),
        device=services.device,
    )


def known_checkpoints(services: Services, candidate: Candidate) -> list[str]:
    """The checkpoints of a candidate's prefix that are trained already, in order."""
    found: list[str] = []
    for index in range(len(candidate.prefix.steps)):
        done = services.cache.known(train_job(services, candidate, index, found))
        if done is None:
            break
        found.append(done.value.checkpoint)
    return found


def convert_job(services: Services, candidate: Candidate, checkpoints: Sequence[str], untrained: bool) -> ConvertJob:
    """The job that converts a candidate's trained model; candidates that differ only in rewrites share it."""
    return ConvertJob(
        **_common(services, "convert"),
        batch_size=services.config.batch_size,
        calibration=services.config.calibration,
        candidate=Candidate((*candidate.prefix.steps, *candidate.of_stage(Stage.CONVERT))),
        checkpoints=tuple(checkpoints),
        untrained=untrained,
    )


def finish_job(converted: ConvertJob, candidate: Candidate, file: str) -> FinishJob:
    """The job that rewrites a converted file, which must have the shapes that the last reshaping step produced."""
    cuts = [at for at, step in enumerate(candidate.prefix.steps) if step.stage is Stage.RESHAPE]
    names = ("environment", "limits", "inspected", "seed", "batch_size", "calibration", "untrained")
    return FinishJob(
        **{name: getattr(converted, name) for name in names},
        candidate=candidate,
        file=file,
        cut=converted.checkpoints[cuts[-1]] if cuts and not converted.untrained else None,
    )


def measure_layers_job(services: Services, file: str) -> MeasureLayersJob:
    """The job that measures the layer statistics of a float file; ``file`` is the name of a blob."""
    return MeasureLayersJob(
        **_common(services, "convert"),
        batch_size=services.config.batch_size,
        calibration=services.config.calibration,
        file=file,
    )


def score_job(services: Services, artifact: str, candidate: Candidate, split: str = "search") -> ScoreJob:
    """The job that scores a finished file on a whole split."""
    (convert,) = candidate.of_stage(Stage.CONVERT)
    io = convert.knobs().get("io")
    return ScoreJob(
        **_common(services, "score"),
        artifact=artifact,
        split=split,
        limit=0,
        metric=services.config.metric,
        threads=usable_cores(),
        io=None if io is None else (io, io),
    )


def target_score_job(services: Services, artifact: str, candidate: Candidate, target: str) -> TargetScoreJob:
    """The job that scores a file's outputs on the named target, for as many samples as the target runs."""
    config, place = services.config, services.availability.targets[target]
    scored = score_job(services, artifact, candidate)
    return TargetScoreJob(
        **{field.name: getattr(scored, field.name) for field in dataclasses.fields(scored)} | {"limit": place.samples},
        described=dict(place.describe()),
        spec=config.target[config.targets.index(target)],
    )


def flash_job(services: Services, artifact: str) -> FlashJob:
    """The job that measures the size of a file in flash."""
    return FlashJob(**_common(services, "score"), artifact=artifact, samples=FLASH_SAMPLES)


def drop_job(services: Services, baseline: ScoreResult, own: ScoreResult, split: str) -> CompareJob:
    """The job that compares two scores on the same samples."""
    return CompareJob(
        **_common(services, "score"),
        split=split,
        metric=services.config.metric,
        value=baseline.metric.value,
        first_each=baseline.each,
        first_predictions=baseline.predictions,
        second_each=own.each,
        second_predictions=own.predictions,
    )


def gap_job(services: Services, original: str, own: ScoreResult) -> CompareJob:
    """The job that compares the float file with the user's own model; ``original`` is the blob of its predictions."""
    found = drop_job(services, own, own, "search")
    return dataclasses.replace(found, value=None, first_each=None, first_predictions=original)


def time_job(services: Services, file: FileRef, target: str, baseline: str, occasion: str) -> TimeJob:
    """The job that times a file on the named target, interleaved with the baseline's file."""
    config = services.config
    return TimeJob(
        environment=services.environment,
        limits=job_limits(config, "time"),
        structure=file.structure,
        baseline=baseline,
        target=target,
        described=dict(services.availability.targets[target].describe()),
        threads=config.threads,
        occasion=occasion,
        file=file.name,
        spec=config.target[config.targets.index(target)],
    )
