"""Rebuilds a trial's file from the user's model and data, with the jobs of the search but without its cache."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litetuner.objectives.environment import environment
from litetuner.search.config.config import Config
from litetuner.search.evaluation.candidate_jobs import score_job
from litetuner.search.evaluation.identity import identity, user_functions
from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import build, run_job, train_step
from litetuner.search.listener import Listener
from litetuner.search.runs.rebuild_source import RebuildSource
from litetuner.search.runs.records import Inspection
from litetuner.search.runtime.machine import package_versions
from litetuner.search.session import open_session, temporary_folder
from litetuner.spaces.building.jobs import FinishResult
from litetuner.spaces.errors import BuildFailed, DataError, ModelError, Refused, RunError
from litetuner.spaces.jobs.python_functions import is_python_function
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.store import write_atomic
from litetuner.spaces.user_function import is_function

ERRORS = {"model": ModelError, "data": DataError}


@dataclasses.dataclass(frozen=True)
class Rebuilt:
    """A rebuilt file, compared with the recorded one.

    ``metric`` is the metric of the new file on the search split, ``None`` if the files are equal: then it is not
    scored. ``versions`` are the packages whose versions differ: name, recorded version, version now.
    """

    source: RebuildSource
    file: Path
    sha256: str
    metric: float | None
    metric_name: str
    versions: tuple[tuple[str, str, str], ...]

    @property
    def same_file(self) -> bool:
        return self.sha256 == self.source.sha256

    @property
    def trained(self) -> bool:
        """True if the candidate has training steps. Then the file may differ in bits, and its metric decides."""
        return bool(self.source.candidate.prefix.steps)

    @property
    def within(self) -> bool:
        """True if the new metric is within the interval of the recorded metric."""
        if self.metric is None or self.source.metric is None:
            return False
        low, high = self.source.metric_interval or (self.source.metric, self.source.metric)
        return low <= self.metric <= high

    @property
    def agrees(self) -> bool:
        """True if the files are equal. For a trained candidate, a metric within the recorded interval is enough."""
        return self.same_file or (self.trained and self.within)


def rebuild(source: RebuildSource, out: Path, listener: Listener | None = None) -> Rebuilt:
    """Build a trial's file again in a temporary folder, and write it to ``out``.

    Raises ``ModelError`` or ``DataError`` if model or data are not those that the trial was made from, ``Refused`` if
    the rules reject the candidate, and ``BuildFailed`` if the file cannot be built.
    """
    listener = listener or Listener()
    config = _located(source)
    contents = _check_contents(source, config)
    with (
        temporary_folder(out.absolute().parent, ".litetuner-rebuild-") as folder,
        open_session(config, folder, listener, contents=contents) as session,
    ):
        services = session.services
        _check_inspected(source, services.inspection)
        try:
            finished = _build(services, source, listener)
            metric = None
            if finished.artifact.sha256 != source.sha256:
                listener.doing("scoring the new file")
                job = score_job(services, finished.name, source.candidate)
                metric = run_job(services, job, Measured())[0].metric.value
        except Stopped as stop:
            raise stop.cause from stop
        write_atomic(out, folder.artifacts.get(finished.name))
        return Rebuilt(source, out, finished.artifact.sha256, metric, config.metric, _other_versions(source))


def check_functions(source: RebuildSource, named: Mapping[str, str | None]) -> None:
    """Raise ``RunError`` if a record names functions that the user has not ``named``, because a rebuild would run them.

    Functions given as Python objects need no check: they are stored in no file, so only the user can have given them.
    """
    given = {key: text for key, text in user_functions(source.config).items() if not is_python_function(text)}
    functions = {key: text for key, text in given.items() if named.get(key) != text}
    if functions:
        listed = ", ".join(f"{key} = {text}" for key, text in functions.items())
        raise RunError(
            f"{source.path} names functions ({listed}), and rebuilding runs them. If you trust them, add --trust."
        )


def _build(services: Services, source: RebuildSource, listener: Listener) -> FinishResult:
    candidate = source.candidate
    reasons = broken_rules(candidate, services.constraints)
    if reasons:
        raise Refused(f"{source.path}: {candidate.label} is refused: {'; '.join(reasons)}.")
    checkpoints: tuple[str, ...] = ()
    measured = Measured()
    try:
        for step in candidate.prefix.steps:
            listener.doing(f"training: {step.label()}")
            checkpoints, measured = train_step(services, candidate, checkpoints, measured)
        listener.doing(f"converting: {candidate.label}")
        return build(services, candidate, checkpoints, measured)[0]
    except Stopped as stop:
        if not isinstance(stop.cause, BuildFailed):
            raise
        raise BuildFailed(f"{source.path}: {candidate.label} cannot be made again: {stop}") from stop


def _located(source: RebuildSource) -> Config:
    """The configuration; relative paths that exist only in the folder of the search are completed with that folder."""
    found = {}
    for name in ("model", "data"):
        given: str = getattr(source.config, name)
        if not is_function(given) and not Path(given).exists() and (source.folder / given).exists():
            found[name] = str(source.folder / given)
    return source.config.model_copy(update=found)


def _check_contents(source: RebuildSource, config: Config) -> dict[str, Any]:
    """The identity of model and data. Files with other content are rejected before anything is loaded."""
    for name, error in ERRORS.items():
        given = getattr(config, name)
        if not is_function(given) and not Path(given).exists():
            raise error(f"{name}: {given}, which the trial was made from, is not there. Say where it is with --{name}.")
    now = identity(config)
    for name in ERRORS:
        _check_same(source, name, getattr(config, name), source.contents.get(name), now[f"{name}_content"])
    return now


def _check_inspected(source: RebuildSource, inspection: Inspection) -> None:
    for name, now in (("model", inspection.model.sha256), ("data", inspection.data.sha256)):
        what = f"what was read from {getattr(source.config, name)}"
        _check_same(source, name, what, source.facts.get(name), now)


def _check_same(source: RebuildSource, name: str, what: str, before: str | None, now: str) -> None:
    if before is not None and before != now:
        raise ERRORS[name](
            f"{name}: {what} has sha256 {now[:16]}..., and trial {source.number} was made from {before[:16]}... "
            f"Give the original with --{name}."
        )


def _other_versions(source: RebuildSource) -> tuple[tuple[str, str, str], ...]:
    now = environment()["packages"] | package_versions()
    found = ((name, before, now.get(name)) for name, before in source.versions.items())
    return tuple((name, before, str(version or "missing")) for name, before, version in found if version != before)
