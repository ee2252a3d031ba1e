"""A trial's file made again from the original model and data, by the search's own jobs and without its cache."""

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
    """``metric`` is the new file's on the search split, ``None`` where the files are equal and nothing was scored.

    ``versions`` are the packages that differ: name, recorded, now.
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
        """Did the recipe train? Then the file may differ in bits, and its metric is what counts."""
        return bool(self.source.candidate.prefix.steps)

    @property
    def within(self) -> bool:
        """Does the new metric lie in the recorded one's interval?"""
        if self.metric is None or self.source.metric is None:
            return False
        low, high = self.source.metric_interval or (self.source.metric, self.source.metric)
        return low <= self.metric <= high

    @property
    def agrees(self) -> bool:
        """The same file; of a trained recipe one whose metric is within the recorded interval is as good."""
        return self.same_file or (self.trained and self.within)


def rebuild(source: RebuildSource, out: Path, listener: Listener | None = None) -> Rebuilt:
    """Make a trial's file again, in a temporary folder, and write it to ``out``.

    Raises ``ModelError`` or ``DataError`` when model or data are not those that the trial was made from, ``Refused``
    when the rules refuse the candidate, ``BuildFailed`` when the file cannot be made.
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
    """Raise ``RunError`` where a record names functions, which rebuilding would run, beside those that the user ``named``.

    Python functions are in no file: there are only those that the user gave.
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
    """The configuration with paths that exist, where they were meant from the folder of the search."""
    found = {}
    for name in ("model", "data"):
        given: str = getattr(source.config, name)
        if not is_function(given) and not Path(given).exists() and (source.folder / given).exists():
            found[name] = str(source.folder / given)
    return source.config.model_copy(update=found)


def _check_contents(source: RebuildSource, config: Config) -> dict[str, Any]:
    """The contents of model and data; files of other content are refused before anything is loaded."""
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
