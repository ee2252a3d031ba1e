"""A search from start to end: folder, inspection, study, loop, finals."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from litetuner.objectives.environment import environment
from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.metrics.metric import Metric
from litetuner.objectives.targets.fake import Fake
from litetuner.search.clock import Clock
from litetuner.search.config.config import Config
from litetuner.search.criteria import Criteria, again_if_undominated, judged, objectives
from litetuner.search.evaluation.evaluator import Evaluator
from litetuner.search.evaluation.inspection import Inspection, default_folder, identity, inspect
from litetuner.search.evaluation.sensitivity import rank_layers
from litetuner.search.finals.ablation import ablate
from litetuner.search.finals.finals import run_finals
from litetuner.search.history import History
from litetuner.search.listener import Listener
from litetuner.search.loop import Loop, recover
from litetuner.search.proposals.samplers import SAMPLERS
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord, find_baseline, read_run
from litetuner.search.runs.study import Study, database_errors
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.trial import Trial
from litetuner.spaces.errors import ConfigError, HostError, RunError, UsageError, nearest
from litetuner.spaces.quantization.precision import fixed_precision
from litetuner.spaces.rules import SpaceConstraints
from litetuner.spaces.space import DISTILL, Space
from litetuner.spaces.steps import STEPS
from litetuner.spaces.training.distillation import LARGEST_BYTES


class Interrupt:
    """Ctrl-C: once, finish what runs and report; twice, stop now."""

    def __init__(self, listener: Listener) -> None:
        self.asked = False
        self._listener = listener

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # Not from here: a signal may come in the middle of a line that is being printed, and printing is not reentrant.
        words = "finishing what runs, then the report (Ctrl-C again stops now)"
        threading.Thread(target=self._listener.doing, args=(words,), daemon=True).start()

    def reason(self) -> str | None:
        """Why the loop should stop, if it should."""
        return "interrupted" if self.asked else None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals while a search runs; only a process's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a search ended: the run as its folder tells it, why the loop stopped, whether by Ctrl-C."""

    record: RunRecord
    reason: str
    interrupted: bool


def run_search(config: Config, listener: Listener | None = None) -> Outcome:
    """Search, or go on with a search: the same configuration finds its run folder again.

    Raises ``UsageError`` for bad input before any compute is spent, ``HostError`` when this machine does not play along,
    and ``KeyboardInterrupt`` on a second Ctrl-C; everything that was told by then is kept.
    """
    listener = listener or Listener()
    metric = find_metric(config.metric)
    _check(config)
    listener.doing(f"looking at {', '.join(config.targets)}")
    _check_places(config)
    contents = identity(config)
    folder = RunFolder(Path(config.out) if config.out else default_folder(config, contents))
    fresh = not folder.path.exists()
    folder.create()
    with folder.lock():
        folder.adopt(config, contents)
        listener.opened(folder, config)
        for sentence in config.advice:
            listener.advised(sentence)
        _name_places(folder, config)
        clock = Clock(folder)
        folder.write("environment", environment())
        executor = EXECUTORS[config.executor](folder, config)
        interrupt = Interrupt(listener)
        try:
            with interrupt.installed(), database_errors(folder), contextlib.ExitStack() as ending:
                cache = JobCache(folder, executor)
                listener.doing("inspecting the model and the data")
                inspection = inspect(folder, config, metric, cache, clock)
                listener.inspected(inspection)
                around = _surroundings(config, inspection)
                evaluator = Evaluator(folder, config, metric, inspection, around, cache)
                study = Study(folder, objectives(config, metric), config.budgets, config.sampler, config.seed)
                ending.callback(study.close)
                opened = not study.numbers()
                trials = recover(folder, study, _rejudged(folder, config, metric, evaluator.terms))
                evaluator.baseline = find_baseline(trials)
                evaluator.told = History(trials, study.objectives, config.budgets)
                loop = Loop(
                    folder,
                    study,
                    evaluator,
                    _space(config, inspection, ()),
                    clock,
                    listener,
                    interrupt.reason,
                    evaluator.told,
                    renewed=opened and bool(trials),
                )
                reason = _search(loop, inspection)
                listener.doing("finals: timing the front again, scoring it on the test split")
                run_finals(evaluator, clock)
                listener.doing("the winner without each of its steps")
                ablate(evaluator, clock, interrupt.reason)
        except UsageError:
            if fresh and not folder.trials():
                executor.close()
                shutil.rmtree(
                    folder.path
                )  # model, data or settings were refused: nothing was done that is worth keeping
            raise
        finally:
            executor.close()
            if folder.path.exists():
                clock.save()
        return Outcome(read_run(folder.path), reason, interrupt.asked)


def _search(loop: Loop, inspection: Inspection) -> str:
    """Baselines first, so that whoever stops early has something; then sensitivity, then everything."""
    config = loop.evaluator.config
    if loop.evaluator.baseline is None:
        first = dataclasses.replace(loop, stop=lambda: loop.stop() or ("baseline" if loop.evaluator.baseline else None))
        first.listener = _Muted(loop.listener)
        reason = first.run()
        if loop.evaluator.baseline is None:
            loop.listener.stopping(reason)
            return reason
    loop.listener.doing("sensitivity: which layers mind low precision")
    loop.space = _space(config, inspection, rank_layers(loop.evaluator, loop.clock))
    return loop.run()


class _Muted(Listener):
    """Passes trials on, and keeps the end of the first stretch to itself."""

    def __init__(self, inner: Listener) -> None:
        self._inner = inner

    def doing(self, what: str) -> None:
        self._inner.doing(what)

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        self._inner.told(trial, trials, seconds_left)


def _check(config: Config) -> None:
    """Names that a search needs: executor, sampler, steps."""
    for key, given, known in (
        ("executor", (config.executor,), EXECUTORS),
        ("sampler", (config.sampler,), SAMPLERS),
        ("steps", config.steps, STEPS),
    ):
        for name in given:
            if name not in known:
                raise ConfigError(f"{key}: there is no {name!r}{nearest(name, known)} ({', '.join(sorted(known))})")


def _name_places(folder: RunFolder, config: Config) -> None:
    """A name means one place for as long as a run lives, else its columns would hold the numbers of two.

    Raises ``RunError`` for a name that meant another place.
    """
    known: dict[str, dict[str, object]] = (folder.read("targets") or {}).get("places", {})
    for place in config.places:
        now, then = place.target.describe(), known.get(place.name, {})
        if any(key in now and now[key] != value for key, value in then.items()):
            raise RunError(
                f"{folder.path}: in this run {place.name} is {_plain(then)}, and now {_plain(now)}. "
                f"Give the new one another name: --target {place.name}2=..."
            )
        known[place.name] = now
    folder.write("targets", {"places": known})


def _plain(place: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in place.items() if value is not None)


def _check_places(config: Config) -> None:
    """Every target works, now: raises ``HostError`` with what to do where one does not. Simulations ask no device."""
    for place in config.places:
        if EXECUTORS[config.executor].simulated and not isinstance(place.target, Fake):
            continue
        failed = [finding for finding in place.target.check() if finding.status == "fails"]
        if failed:
            what = ". ".join(f"{item.about}: {item.text}. {item.remedy}".strip(". ") for item in failed)
            raise HostError(f"the target {place.name} does not work. {what}. `litetuner doctor` looks at it again.")


def _surroundings(config: Config, inspection: Inspection) -> SpaceConstraints:
    steps = frozenset(config.steps) if config.steps else None
    precision = fixed_precision(config.precision, inspection.model, steps)
    return SpaceConstraints(inspection.model, bool(inspection.data.counts["train"]), steps, precision=precision)


def _space(config: Config, inspection: Inspection, ranking: tuple[str, ...]) -> Space:
    io = ("float32", "int8", "uint8") if config.io == "any" else (config.io,)
    if not ranking:
        ranking = tuple(layer.name for layer in inspection.model.layers if layer.has_kernel)
    around = _surroundings(config, inspection)
    outputs = math.prod(size for size in inspection.model.output_shape if size is not None)
    kept = outputs * 4 * inspection.data.counts["train"] <= LARGEST_BYTES  # else the original's outputs are not at hand
    distill = DISTILL if kept else DISTILL[:1]
    return Space(around, ranking, epochs=inspection.epochs, distill=distill, io=io, keep_names=config.keep_names)


def _rejudged(folder: RunFolder, config: Config, metric: Metric, today: Criteria) -> list[Trial]:
    """All records under today's terms; what a gate stopped that they would let through is asked again."""
    before = folder.trials()
    found = [judged(trial, today) for trial in before]
    told = History(found, objectives(config, metric), today.budgets)
    found = [again_if_undominated(trial, told) for trial in found]
    for old, fresh in zip(before, found, strict=True):
        if fresh != old:
            folder.write_trial(fresh)
    return found
