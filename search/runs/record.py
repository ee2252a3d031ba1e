"""All that is known of a run, read from its folder: what reports, exports and the command line work on."""

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
    """One run as its folder tells it. Measurements of the finals stand in their trials, in place of the search's."""

    folder: RunFolder
    config: Config
    metric: MetricInfo
    model: ModelInfo
    data: DataInfo
    trials: tuple[Trial, ...]
    environment: dict[str, Any]
    seconds: dict[str, float]  # train, convert, score, time, other, wall
    doubts: tuple[str, ...] = ()  # of the inspection
    # How many jobs waited at the same time, at most, for workers and for each target.
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
        """The front of each target by its name, the first target's first."""
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
        """Trials by state, duplicates left out."""
        found = Counter(str(trial.state) for trial in self.trials if trial.duplicate_of is None)
        return {str(state): found[str(state)] for state in State if found[str(state)]}

    def trial(self, number: int) -> Trial:
        """A trial by its number. Raises ``RunError`` for one that does not exist."""
        for trial in self.trials:
            if trial.number == number:
                return trial
        known = f"; they go from 0 to {self.trials[-1].number}" if self.trials else ""
        raise RunError(f"{self.folder.path} has no trial {number}{known}.")


def open_run(path: Path | str) -> tuple[RunFolder, Config, dict[str, Any]]:
    """A run folder, its configuration and inspection. Raises ``RunError`` where there is none or no inspection yet."""
    folder = RunFolder(Path(path))
    config = folder.config()
    inspection = folder.read("inspection")
    if inspection is None:
        raise RunError(f"{path}: this run stopped before it had inspected the model. Repeat the search command.")
    return folder, config, inspection


def read_run(path: Path | str, known: Sequence[Trial] = ()) -> RunRecord:
    """Read a run folder, but for the records of ``known`` trials (``RunFolder.trials``).

    Raises ``RunError`` when it is none, when nothing was inspected yet, or when a record is damaged.
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
    """Name the trial on whose file each borrowed latency was measured, or none: then it was an untrained copy.

    Not when it is told: the other trial may still be in flight then.
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
