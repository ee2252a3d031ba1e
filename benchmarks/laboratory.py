"""Shared code of benchmarks: builds and measures candidates with the stages of the search, but without a search."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from litetuner.search.clock import Clock
from litetuner.search.config.config import Config
from litetuner.search.evaluation.evaluate import evaluate, trial_of
from litetuner.search.evaluation.identity import identity
from litetuner.search.evaluation.services import Services
from litetuner.search.history import History
from litetuner.search.listener import Listener
from litetuner.search.proposals.baselines import BASELINE
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_trials import Asked
from litetuner.search.session import open_session
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.candidate import Candidate


class Laboratory:
    """One run folder with its services.

    Trials are numbered in the order of measurement, starting with the baseline (0).
    """

    def __init__(self, services: Services, clock: Clock) -> None:
        self.services = services
        self.clock = clock

    def measure(self, candidate: Candidate, origin: str = "benchmark") -> Trial:
        """The trial of a candidate. A candidate that was measured before is read from its record."""
        known = {trial.candidate.key: trial for trial in self.services.folder.trials()}
        found = known.get(candidate.key)
        if found is not None and found.state is not State.LOST:
            return found
        trial = self.evaluate(Asked(len(known), candidate, origin, {}))
        self.clock.count(trial.seconds)
        trial = dataclasses.replace(trial, seconds_since_start=round(self.clock.wall, 3))
        self.services.folder.write_trial(trial)
        return trial

    def evaluate(self, asked: Asked) -> Trial:
        """Evaluate a candidate. Its history contains only the baseline."""
        baseline = find_baseline(self.services.folder.trials())
        history = History([] if baseline is None else [baseline])
        services = self.services.for_trial(asked.number)
        return trial_of(asked, evaluate(asked.candidate, services, history), services)


@contextlib.contextmanager
def laboratory(config: Config, folder: Path) -> Iterator[Laboratory]:
    """Open (or resume) a run folder of a benchmark, and measure the baseline."""
    run = RunFolder(folder)
    run.create()
    with run.lock():
        contents = identity(config)
        run.adopt(config, contents)
        with open_session(config, run, Listener(), contents=contents) as session:
            found = Laboratory(session.services, session.clock)
            found.measure(BASELINE)
            yield found
