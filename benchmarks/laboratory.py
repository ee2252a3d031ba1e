"""What the benchmarks share: candidates built and measured by the search's own stages, outside of a search."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from litetuner.objectives.metrics.choice import find_metric
from litetuner.search.clock import Clock
from litetuner.search.config.config import Config
from litetuner.search.evaluation.evaluator import Evaluator
from litetuner.search.evaluation.inspection import identity, inspect
from litetuner.search.proposals.baselines import BASELINE
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.study import Asked
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.rules import SpaceConstraints


class Laboratory:
    """One run folder with an evaluator. Trials are numbered from 0, the baseline, in the order in which they are measured."""

    def __init__(self, evaluator: Evaluator, clock: Clock) -> None:
        self.evaluator = evaluator
        self.clock = clock

    def measure(self, candidate: Candidate, origin: str = "benchmark") -> Trial:
        """A candidate's trial; one that was measured before is read from its record."""
        known = {trial.candidate.key: trial for trial in self.evaluator.folder.trials()}
        found = known.get(candidate.key)
        if found is not None and found.state is not State.LOST:
            return found
        trial = self.evaluator.evaluate(Asked(len(known), candidate, origin, {}))
        self.clock.count(trial.seconds)
        trial = dataclasses.replace(trial, seconds_since_start=round(self.clock.wall, 3))
        self.evaluator.folder.write_trial(trial)
        return trial


@contextlib.contextmanager
def laboratory(config: Config, folder: Path) -> Iterator[Laboratory]:
    """Open (or go on with) a run folder of a benchmark, and measure the baseline."""
    run = RunFolder(folder)
    run.create()
    with run.lock():
        run.adopt(config, identity(config))
        clock = Clock(run)
        executor = EXECUTORS[config.executor](run, config)
        try:
            cache = JobCache(run, executor)
            metric = find_metric(config.metric)
            inspection = inspect(run, config, metric, cache, clock)
            around = SpaceConstraints(inspection.model, bool(inspection.data.counts["train"]), None)
            found = Laboratory(Evaluator(run, config, metric, inspection, around, cache), clock)
            found.evaluator.baseline = found.measure(BASELINE)
            yield found
        finally:
            executor.close()
            clock.save()
