"""A preview of a search: size and latency of the baseline and of plain int8, measured in under a minute."""

import dataclasses
from pathlib import Path

from litetuner.search.config.config import Config
from litetuner.search.evaluation.candidate_jobs import score_job
from litetuner.search.evaluation.identity import identity
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import build, run_job, time_on
from litetuner.search.listener import Listener
from litetuner.search.runs.records import Inspection
from litetuner.search.session import open_session, temporary_folder
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

SAMPLES = 1000  # of the search split; enough to see whether the model fits its data
REGRESSION = "mae"


@dataclasses.dataclass(frozen=True)
class Cost:
    """Size and latency of a file; ``latency_us`` is ``None`` if it could not be timed."""

    file_bytes: int
    compressed_bytes: int
    latency_us: float | None


@dataclasses.dataclass(frozen=True)
class Preview:
    """The measurements of a preview.

    ``metric`` is the baseline's on the first ``samples`` samples of the search split. ``int8`` is ``None`` if there
    is no int8 file of the model.
    """

    config: Config
    inspection: Inspection
    baseline: Cost
    int8: Cost | None
    metric: float
    samples: int


def preview_model(
    config: Config, place: Path, listener: Listener | None = None, *, guess_metric: bool = False
) -> Preview:
    """Convert, time and score the baseline, and convert and time its int8 file, in a temporary folder below ``place``.

    With ``guess_metric``, data that do not suit the metric (labels that are not class numbers) count as a regression.
    Raises ``ModelError`` or ``DataError`` as a search does, ``BuildFailed`` if the baseline cannot be converted.
    """
    listener = listener or Listener()
    contents = identity(config)
    guess = REGRESSION if guess_metric else None
    with (
        temporary_folder(place, ".litetuner-init-") as folder,
        open_session(config, folder, listener, contents=contents, or_metric=guess) as session,
    ):
        services = session.services
        listener.doing("converting, timing and scoring the baseline")
        candidate = Candidate((step_for(Role.FLOAT)(),))
        try:
            baseline, artifact = _cost(services, candidate)
            samples = min(SAMPLES, services.inspection.data.counts["search"])
            job = dataclasses.replace(score_job(services, artifact, candidate), limit=samples)
            scored, _ = run_job(services, job, Measured())
        except Stopped as stop:
            raise stop.cause from stop
        listener.doing("converting and timing int8")
        return Preview(session.config, services.inspection, baseline, _int8(services), scored.metric.value, samples)


def _int8(services: Services) -> Cost | None:
    candidate = Candidate((step_for(Role.INTEGER)(), step_for(Role.SLIM)()))
    if broken_rules(candidate, services.constraints):
        return None
    try:
        return _cost(services, candidate)[0]
    except Stopped:
        return None  # not an error: there is no int8 file of this model


def _cost(services: Services, candidate: Candidate) -> tuple[Cost, str]:
    finished, measured = build(services, candidate, (), Measured())
    timed, _ = time_on(services, finished.ref, services.config.targets[0], None, measured)
    latency = next((found.value for name, found in timed.items() if name.startswith("latency_us")), None)
    return Cost(finished.artifact.file_bytes, finished.artifact.compressed_bytes, latency), finished.name
