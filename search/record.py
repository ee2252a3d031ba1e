"""All that is known of a run, read from its folder: what reports, exports and the command line work on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metric import Metric
from litetuner.objectives.metric_choice import find_metric
from litetuner.search.budgets import Budget, violations
from litetuner.search.config import Config
from litetuner.search.front import Objective, front, picks
from litetuner.search.run_folder import RunFolder
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import RunError
from litetuner.spaces.facts import DataFacts, ModelFacts


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run as its folder tells it. Measurements of the finals stand in their trials, in place of the search's."""

    folder: RunFolder
    config: Config
    metric: Metric
    model: ModelFacts
    data: DataFacts
    trials: tuple[Trial, ...]
    environment: dict[str, Any]
    seconds: dict[str, float]  # train, convert, score, time, other, wall

    @property
    def budgets(self) -> tuple[Budget, ...]:
        return self.config.budgets

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return objectives(self.config, self.metric)

    @property
    def baseline(self) -> Trial | None:
        return next((trial for trial in self.trials if trial.number == 0 and trial.state.scored), None)

    @property
    def front(self) -> list[Trial]:
        return front(self.trials, self.objectives)

    @property
    def picks(self) -> dict[str, Trial]:
        bounded = any(budget.measurement in ("drop", "metric") for budget in self.budgets)
        return picks(
            self.trials,
            self.objectives,
            metric_bounded=bounded,
            size=self.config.size_measurement,
            latency=self.config.latency_measurement,
        )

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
        last = self.trials[-1].number if self.trials else None
        raise RunError(
            f"{self.folder.path} has no trial {number}" + (f"; they go from 0 to {last}." if last is not None else ".")
        )


def objectives(config: Config, metric: Metric) -> tuple[Objective, ...]:
    """What is optimised: the metric, size, latency of the first target, and what the user added."""
    found = [
        Objective("metric", metric.direction),
        Objective(config.size_measurement, "minimize"),
        Objective(config.latency_measurement, "minimize"),
    ]
    found += [Objective(name, "minimize") for name in config.objective]
    return tuple(dict.fromkeys(found))


def judged(trial: Trial, budgets: tuple[Budget, ...]) -> Trial:
    """A trial with the state and constraints that these budgets give it. What they no longer stop is ``LOST``: asked again."""
    if trial.state is State.PRUNED and trial.gate in ("probe", "rung", "latency"):
        measured = {name.removeprefix("probe."): value for name, value in trial.measurements.items()}
        broken = violations(budgets, measured)
        if any(value > 0 for value in broken.values()):
            return dataclasses.replace(trial, constraints=broken)
        reason = f"the budgets of today would not stop it at the gate {trial.gate}"
        return dataclasses.replace(trial, state=State.LOST, constraints={}, reason=reason)
    if not trial.state.scored:
        return trial
    broken = violations(budgets, trial.measurements)
    state = State.INFEASIBLE if any(value > 0 for value in broken.values()) else State.COMPLETE
    return dataclasses.replace(trial, constraints=broken, state=state)


def read_run(path: Path | str) -> RunRecord:
    """Read a run folder. Raises ``RunError`` when it is none, or when nothing was inspected yet."""
    folder = RunFolder(Path(path))
    config = folder.config()
    inspection = folder.read("inspection")
    if inspection is None:
        raise RunError(f"{path}: this run stopped before it had inspected the model. Repeat the search command.")
    finals = (folder.read("finals") or {}).get("trials", {})
    trials = []
    for trial in folder.trials():
        measured = finals.get(str(trial.number if trial.duplicate_of is None else trial.duplicate_of), {})
        final = {name: Measurement.from_json(value) for name, value in measured.items()}
        merged = dataclasses.replace(trial, measurements=trial.measurements | final)
        trials.append(judged(merged, config.budgets))
    return RunRecord(
        folder=folder,
        config=config,
        metric=find_metric(config.metric),
        model=ModelFacts.from_json(inspection["model"]),
        data=DataFacts.from_json(inspection["data"]),
        trials=tuple(trials),
        environment=folder.read("environment") or {},
        seconds=(folder.read("clock") or {}).get("seconds", {}),
    )
