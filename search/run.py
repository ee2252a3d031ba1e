"""A search from start to end: folder, inspection, study, loop, finals."""

import contextlib
import dataclasses
import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litetuner.objectives.environment import environment
from litetuner.objectives.targets.fake import Fake
from litetuner.search.config.config import Config
from litetuner.search.criteria import Criteria, judged, objectives, reopened_if_undominated
from litetuner.search.evaluation.identity import default_folder, identity
from litetuner.search.evaluation.sensitivity import Ranking
from litetuner.search.evaluation.services import Services
from litetuner.search.finals.ablation import ablate
from litetuner.search.finals.finals import run_finals
from litetuner.search.finals.lost_files import restore_files
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.interrupt import Interrupt, Part
from litetuner.search.listener import Listener
from litetuner.search.loop import Loop
from litetuner.search.runs.databases.database import StudyFile, StudyLocation
from litetuner.search.runs.databases.postgresql import PostgresqlServer
from litetuner.search.runs.databases.study_copy import StudyCopy
from litetuner.search.runs.environments import other_environments
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_study import Study
from litetuner.search.runs.other_runs import earlier_trials
from litetuner.search.runs.record import RunRecord, read_run
from litetuner.search.runs.recovery import recover
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.machine import parallel_trials, this_environment, usable_cores
from litetuner.search.session import check_names, open_session
from litetuner.search.trial import Trial, find_baseline
from litetuner.spaces.errors import HostError, RunError, UsageError
from litetuner.spaces.jobs.collection import few_collections
from litetuner.spaces.space import DISTILL, Space
from litetuner.spaces.training.distillation import LARGEST_BYTES

MEASURED_SECONDS = 60.0  # a shorter search mostly starts processes, and says nothing about the use of the cores


@dataclasses.dataclass(frozen=True)
class SearchEnd:
    """How a search ended: the record of the run, why the loop stopped, and whether a signal (Ctrl-C) interrupted it."""

    record: RunRecord
    reason: str
    interrupted: bool


@few_collections()
def run_search(config: Config, listener: Listener | None = None) -> SearchEnd:
    """Search, or resume a search: the same configuration leads to the same run folder.

    Raises ``UsageError`` for bad input before any compute is used, ``HostError`` if this machine or a target does not
    work, and ``KeyboardInterrupt`` on a second Ctrl-C. All trials that were told by then are kept.
    """
    listener = listener or Listener()
    check_names(config)
    EXECUTORS[config.executor].prepare(config)
    listener.doing(f"checking {', '.join(config.targets)}")
    _check_targets(config)
    contents = identity(config)
    folder = RunFolder(Path(config.out) if config.out else default_folder(config, contents))
    fresh = not folder.path.exists()
    folder.create()
    with folder.lock():
        folder.adopt(config, contents)
        listener.opened(folder, config)
        before = folder.trials()
        for sentence in (*config.advice, *_other_environments(before)):
            listener.advised(sentence)
        _name_targets(folder, config)
        folder.write("environment", environment())
        location, interrupt = _location(config, folder), Interrupt(listener)
        try:
            with interrupt.installed(), location.errors():
                reason, known = _search(config, folder, location, (contents, before), listener, interrupt)
        except UsageError as error:
            # Model, data or settings were rejected: the new folder is useless, unless the error names a log in it.
            if fresh and not folder.trials() and "its log is" not in str(error):
                shutil.rmtree(folder.path)
            raise
        record = read_run(folder.path, known)
        if (idle := _idle_cores(record)) is not None:
            listener.advised(idle)
        return SearchEnd(record, reason, interrupt.asked > 0)


def _search(
    config: Config,
    folder: RunFolder,
    location: StudyLocation,
    known: tuple[dict[str, Any], list[Trial]],
    listener: Listener,
    interrupt: Interrupt,
) -> tuple[str, list[Trial]]:
    """Run loop, finals and ablation; returns why the loop stopped, and the earlier trials as their records are now."""
    contents, before = known  # the result of ``identity``, and the trials of earlier sessions
    with open_session(config, folder, listener, contents=contents) as session, contextlib.ExitStack() as ending:
        services = session.services
        listener.inspected(services.inspection)
        goals = objectives(config, services.metric)
        open_copy = functools.partial(StudyCopy, location, goals, services.criteria.budgets, folder.id)
        found = recover(folder, _rejudge(folder, before, goals, services.criteria), location, open_copy)
        ending.callback(found.copy.close)
        if found.note:
            listener.advised(found.note)
        restore_files(services, filter(None, [find_baseline(found.trials)]))
        loop = Loop(
            services=dataclasses.replace(services, clock=session.clock),
            study=Study(goals, config.sampler, config.seed, found.trials, found.copy),
            history=History(
                found.trials, goals, services.criteria.budgets, services.inspection.seconds_per_epoch or 0.0
            ),
            clock=session.clock,
            listener=listener,
            stop=interrupt.reason,
            whole=functools.partial(whole_space, services),
            earlier=earlier_trials(config.from_run),
            renewed=found.renewed,
        )
        with interrupt.during(Part.TRIALS):
            reason = loop.run()
        if loop.baseline is None:
            return reason, found.trials
        try:
            with interrupt.during(Part.FINALS):
                listener.doing("finals: timing the Pareto front again, scoring it on the test split")
                run_finals(services, session.clock, found.trials)
                listener.doing("ablation: what each step of the pick contributes")
                ablate(services, session.clock, interrupt.reason, found.trials)
        except KeyboardInterrupt:
            if interrupt.now:
                raise
            return "interrupted", found.trials
        return reason, found.trials


def _location(config: Config, folder: RunFolder) -> StudyLocation:
    """Where the copy of the Optuna study is kept. Raises ``HostError`` for a database server that cannot be used."""
    if config.storage is None:
        return StudyFile(folder.path)
    server = PostgresqlServer(config.storage, config.password, folder.id)
    server.check()
    return server


def _idle_cores(record: RunRecord) -> str | None:
    """Advice to run more trials at once if cores were idle; ``None`` if they were not, or if that is not known."""
    seconds, config = record.seconds, record.config
    executor = EXECUTORS[config.executor]
    if executor.simulated or executor.elsewhere or seconds.get("wall", 0.0) < MEASURED_SECONDS:
        return None
    if os.getloadavg()[1] > usable_cores():  # load average of 5 minutes: other programs use the cores
        return None
    each = seconds.get("cpu", 0.0) / seconds.get("slots", seconds["wall"])
    could = parallel_trials(each) if each else 1
    if could <= config.parallel:
        return None
    used = f"one trial kept {each:.1f} of {usable_cores()} cores busy"
    return (
        f"{used}: --parallel {could} would use more of them (the order in which trials end then decides what is tried)."
    )


def _rejudge(folder: RunFolder, before: Sequence[Trial], goals: tuple[Objective, ...], today: Criteria) -> list[Trial]:
    """All trials under the current criteria, with changed records written.

    A trial that a gate stopped, and that the current criteria would not stop, is asked again.
    """
    found = [judged(trial, today) for trial in before]
    if any(trial.gate == "dominated" for trial in found):
        history = History(found, goals, today.budgets)
        found = [reopened_if_undominated(trial, history) for trial in found]
    for old, fresh in zip(before, found, strict=True):
        if fresh != old:
            folder.write_trial(fresh)
    return found


def whole_space(services: Services, ranking: Ranking) -> Space:
    """The whole search space. Layers that are not ranked yet stay in the order of the model."""
    config, inspection = services.config, services.inspection
    io = ("float32", "int8", "uint8") if config.io == "any" else (config.io,)
    layers = ranking.layers or tuple(layer.name for layer in inspection.model.layers if layer.has_kernel)
    outputs = inspection.model.output_values * 4 * inspection.data.counts["train"]  # bytes
    loop = inspection.loop
    # Distillation needs the baseline's outputs on disk, and does not work with the user's own training loop.
    distill = DISTILL if outputs <= LARGEST_BYTES and loop is None else DISTILL[:1]
    rates = Space.learning_rates if loop is None or loop.tunes else Space.learning_rates[:1]
    around, epochs = services.constraints, inspection.epochs
    space = Space(
        around, layers, epochs=epochs, learning_rates=rates, distill=distill, io=io, keep_names=config.keep_names
    )
    return dataclasses.replace(space, statistics=ranking.statistics)


def _other_environments(trials: Sequence[Trial]) -> list[str]:
    found = other_environments(trials, this_environment())
    return [
        f"{len(numbers)} trials of this run were measured with {what} as now. The report marks where numbers of both are "
        "in one front; another --out keeps them apart."
        for what, numbers in found.items()
    ]


def _name_targets(folder: RunFolder, config: Config) -> None:
    """Record which target each name means; once there are trials, a name must not change its meaning.

    Otherwise a column of the report would mix measurements of two targets. Raises ``RunError`` for such a name.
    """
    measured = any(folder.path.glob("trials/*/trial.json"))
    known: dict[str, dict[str, object]] = (folder.read("targets") or {}).get("places", {}) if measured else {}
    for item in config.named_targets:
        now, then = item.target.describe(), known.get(item.name, {})
        if any(key in now and now[key] != value for key, value in then.items()):
            raise RunError(
                f"{folder.path}: in this run {item.name} is {_plain(then)}, and now {_plain(now)}. "
                f"Give the new one another name: --target {item.name}2=..."
            )
        known[item.name] = now
    folder.write("targets", {"places": known})


def _plain(described: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in described.items() if value is not None)


def _check_targets(config: Config) -> None:
    """Check that all targets work. Raises ``HostError`` with a remedy if not. A simulation checks only fake targets."""
    for item in config.named_targets:
        if EXECUTORS[config.executor].simulated and not isinstance(item.target, Fake):
            continue
        failed = [finding for finding in item.target.check() if finding.status == "fails"]
        if failed:
            what = ". ".join(f"{finding.about}: {finding.text}. {finding.remedy}".strip(". ") for finding in failed)
            raise HostError(f"the target {item.name} does not work. {what}. `litetuner doctor` looks at it again.")
