"""Everything that is known about a run, read from its folder. Reports, exports and the command line use it."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.config.config import Config
from litetuner.search.criteria import find_criteria, judged, objectives
from litetuner.search.front import Objective, front, fronts
from litetuner.search.picks.best import Best, BestRule, find_best
from litetuner.search.picks.picks import picks
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.paired import equal_metric
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.errors import RunError
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.jobs.metric_info import MetricInfo


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run, read from its folder. In its trials, final measurements replace those of the search."""

    folder: RunFolder
    config: Config
    metric: MetricInfo
    model: ModelInfo
    data: DataInfo
    trials: tuple[Trial, ...]
    environment: dict[str, Any]
    seconds: dict[str, float]  # train, convert, score, time, other, wall
    doubts: tuple[str, ...] = ()  # from the inspection
    # The largest number of jobs that waited at the same time, for workers and for each target.
    queues: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        return self.config.budgets_for(self.metric.direction)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return objectives(self.config, self.metric)

    @property
    def baseline(self) -> Trial | None:
        return find_baseline(self.trials)

    @functools.cached_property
    def front(self) -> list[Trial]:
        return front(self.trials, self.objectives)

    @functools.cached_property
    def fronts(self) -> dict[str, list[Trial]]:
        """The Pareto front of each target, by target name. The first target comes first."""
        return fronts(self.trials, self.objectives, self.config.targets)

    @functools.cached_property
    def best(self) -> Best | None:
        """The best file within all budgets, and how it was chosen."""
        limited = [budget.measurement for budget in self.budgets]
        rule = BestRule(
            metric_budgets=tuple(budget for budget in self.budgets if budget.measurement in ("drop", "metric")),
            latency_limited=any(name.startswith("latency_us") for name in limited),
            points=self.metric.bounded,
            metric=self.objectives[0],
            size=self.config.size_measurement,
            latency=self.config.latency_measurement,
        )
        return find_best(self.trials, rule, functools.partial(equal_metric, self.folder, self.config.seed))

    @functools.cached_property
    def picks(self) -> dict[str, Trial]:
        size, targets = self.config.size_measurement, self.config.targets
        return picks(self.trials, self.objectives, self.best, size=size, targets=targets)

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials in each state, without duplicates."""
        found = Counter(str(trial.state) for trial in self.trials if trial.duplicate_of is None)
        return {str(state): found[str(state)] for state in State if found[str(state)]}

    def trial(self, number: int) -> Trial:
        """The trial with a number. Raises ``RunError`` if it does not exist."""
        for trial in self.trials:
            if trial.number == number:
                return trial
        known = f"; they go from 0 to {self.trials[-1].number}" if self.trials else ""
        raise RunError(f"{self.folder.path} has no trial {number}{known}.")


def open_run(path: Path | str) -> tuple[RunFolder, Config, dict[str, Any]]:
    """A run folder, its configuration and inspection. Raises ``RunError`` if there is no run or no inspection yet."""
    folder = RunFolder(Path(path))
    config = folder.config()
    inspection = folder.read("inspection")
    if inspection is None:
        raise RunError(f"{path}: this run stopped before it had inspected the model. Repeat the search command.")
    return folder, config, inspection


def read_run(path: Path | str, known: Sequence[Trial] = ()) -> RunRecord:
    """Read a run folder. The records of ``known`` trials are not read again (see ``RunFolder.trials``).

    Raises ``RunError`` if it is not a run folder, if it has no inspection yet, or if a record is damaged.
    """
    folder, config, inspection = open_run(path)
    finals = (folder.read("finals") or {}).get("trials", {})
    metric = MetricInfo.from_json(inspection["metric"])
    today, clock = find_criteria(config, metric), folder.read("clock") or {}
    trials = []
    for trial in folder.trials(known):
        measured = finals.get(str(trial.number if trial.duplicate_of is None else trial.duplicate_of), {})
        final = {name: Measurement.from_json(value) for name, value in measured.items()}
        merged = dataclasses.replace(trial, measurements=trial.measurements | final) if final else trial
        trials.append(judged(merged, today))
    return RunRecord(
        folder=folder,
        config=config,
        metric=metric,
        model=ModelInfo.from_json(inspection["model"]),
        data=DataInfo.from_json(inspection["data"]),
        trials=_with_lenders(trials),
        environment=folder.read("environment") or {},
        seconds=clock.get("seconds", {}),
        doubts=tuple(inspection.get("doubts", ())),
        queues=clock.get("queues", {}),
    )


def _with_lenders(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Add to each borrowed latency the trial whose file was timed, or ``None`` if that file was an untrained copy.

    This cannot be done when a trial is told, because the other trial may still be in flight.
    """
    owners = {trial.artifact.rpartition("/")[2]: trial.number for trial in reversed(trials) if trial.artifact}
    found = []
    for trial in trials:
        named = {
            name: dataclasses.replace(
                value, extra=value.extra | {"borrowed_from": mark | {"trial": owners.get(mark["file"])}}
            )
            for name, value in trial.measurements.items()
            if (mark := value.extra.get("borrowed_from")) is not None
        }
        found.append(dataclasses.replace(trial, measurements=trial.measurements | named) if named else trial)
    return tuple(found)
