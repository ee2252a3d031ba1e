"""The view: everything that is shown of a run, computed once. Sections, tables and the command line only draw it."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING

from litetuner.reports.model.ablation import Contribution, find_ablation
from litetuner.reports.model.blocking_budgets import Blocked, find_blocked
from litetuner.reports.model.charts import Chart, Group, find_charts, group_of
from litetuner.reports.model.columns import Column, find_columns
from litetuner.reports.model.conditions import Condition, find_conditions
from litetuner.reports.model.conversion import Conversion, find_conversion
from litetuner.reports.model.headline import Headline, find_headline
from litetuner.reports.model.layers import LayerTable, find_layer_tables
from litetuner.reports.model.rejections import Rejection, find_rejections
from litetuner.reports.model.rows import Interval, Row, make_row
from litetuner.reports.model.sensitivity import Sensitive, find_sensitivity
from litetuner.reports.model.targets import Targets, find_targets
from litetuner.reports.model.unsteady_timings import unsteady_words
from litetuner.reports.text.formatting import beyond, budget_text, clean
from litetuner.reports.text.step_descriptions import label_words
from litetuner.search.config.budgets import Budget, allowed_drop
from litetuner.search.hypervolume import Volume, volume_over_time
from litetuner.search.runs.importance import Importance, Importances, kept_importances
from litetuner.search.trial import State, Trial

if TYPE_CHECKING:  # the record pulls in pydantic, which reports do not need
    from litetuner.search.runs.record import RunRecord

KINDS = {
    "inspect": "Inspecting the model and the data",
    "train": "Training",
    "convert": "Converting and rewriting files",
    "score": "Scoring on the search split",
    "time": "Timing on the target",
}


@dataclasses.dataclass(frozen=True)
class TimeUse:
    """Where the wall time went: seconds of each kind of work, and what litetuner itself took."""

    wall: float | None
    parts: tuple[tuple[str, float], ...]
    other: float | None
    overlapped: float | None = None  # seconds of training beside the rest, which nobody waited for

    @property
    def overhead(self) -> float | None:
        """other / wall."""
        return self.other / self.wall if self.wall and self.other is not None else None


def budget_words(budget: Budget) -> str:
    """A budget in running text: ``max-compressed-size 60kB``."""
    return budget_text(budget).removeprefix("--")


class View:
    """What is shown of one run. ``record`` may not change meanwhile: all is computed at first use and kept."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.budgets: tuple[Budget, ...] = record.budgets
        self.bounded: bool = record.metric.bounded
        self.metric_name: str = clean(record.metric.name, 60)
        self.size_measurement: str = record.config.size_measurement
        self.target: str = record.config.targets[0]

    @functools.cached_property
    def targets(self) -> tuple[str, ...]:
        """The targets of the configuration, then others that were measured earlier in the run."""
        found = dict.fromkeys(self.record.config.targets)
        for trial in self.record.trials:
            found |= dict.fromkeys(n.partition(":")[2] for n in trial.measurements if n.startswith("latency_us:"))
        return tuple(found)

    @functools.cached_property
    def _rows(self) -> dict[int, Row]:
        return {trial.number: make_row(trial, self.targets) for trial in self.record.trials}

    @property
    def rows(self) -> tuple[Row, ...]:
        """All trials, by number."""
        return tuple(self._rows.values())

    def row(self, trial: Trial) -> Row:
        return self._rows[trial.number]

    @functools.cached_property
    def front(self) -> tuple[Trial, ...]:
        return tuple(self.record.front)

    @functools.cached_property
    def fronts(self) -> dict[str, tuple[Trial, ...]]:
        """The front of each target of the configuration, by its name."""
        return {target: tuple(members) for target, members in self.record.fronts.items()}

    @functools.cached_property
    def by_target(self) -> Targets | None:
        """Each target's front and the picks on all of them; ``None`` with one target."""
        return find_targets(self)

    @functools.cached_property
    def picks(self) -> dict[str, Trial]:
        """Picks by name."""
        return self.record.picks

    @property
    def best_trial(self) -> Trial | None:
        return self.picks.get("best")

    @property
    def best(self) -> Row | None:
        return None if self.best_trial is None else self.row(self.best_trial)

    @property
    def baseline(self) -> Row | None:
        found = self.record.baseline
        return None if found is None else self.row(found)

    @property
    def metric_is_limited(self) -> bool:
        """Does a budget limit the metric? Then the best is the smallest."""
        return any(budget.measurement in ("drop", "metric") for budget in self.budgets)

    @property
    def drop_interval(self) -> Interval | None:
        """The interval of the best's drop on the search split."""
        found = self.best_trial.measurements.get("drop") if self.best_trial else None
        return None if found is None else found.interval

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """The size that is minimised, of the baseline and of the best."""
        before = self.baseline.size(self.size_measurement) if self.baseline else None
        return before, self.best.size(self.size_measurement) if self.best else None

    @functools.cached_property
    def headline(self) -> Headline | None:
        return find_headline(self)

    @functools.cached_property
    def blocked(self) -> Blocked | None:
        """Why nothing is feasible, ``None`` where something is."""
        return None if self.picks else find_blocked(self.record.trials, self.budgets, self.record.objectives)

    @functools.cached_property
    def charts(self) -> tuple[Chart, ...]:
        return find_charts(self)

    @functools.cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """How the numbers of the best (else of the baseline) were measured."""
        trial = self.best_trial or self.record.baseline
        return () if trial is None else find_conditions(trial)

    @functools.cached_property
    def conversion(self) -> Conversion | None:
        """What the conversion to ``.tflite`` itself costs, ``None`` where that was not measured."""
        return find_conversion(self.record.baseline)

    @property
    def conversion_words(self) -> str:
        """The same in a sentence; empty where it was not measured."""
        return "" if self.conversion is None else self.conversion.words(self.metric_name, self.bounded)

    @functools.cached_property
    def unsteady_words(self) -> str:
        """One line where timings call themselves unsteady; else empty."""
        return unsteady_words(self.record.trials)

    @property
    def best_words(self) -> str:
        """What each step of the best means, a line for each."""
        return "" if self.best_trial is None else label_words(self.best_trial.candidate.steps)

    @functools.cached_property
    def time_use(self) -> TimeUse:
        seconds = self.record.seconds
        named = [(KINDS.get(kind, clean(kind, 40)), seconds[kind]) for kind in (*KINDS, *seconds) if kind in seconds]
        apart = ("wall", "other", "train_overlapped")
        work = [(name, value) for name, value in dict(named).items() if name not in apart]
        return TimeUse(seconds.get("wall"), tuple(work), seconds.get("other"), seconds.get("train_overlapped"))

    @functools.cached_property
    def rejections(self) -> tuple[Rejection, ...]:
        """Why candidates were not kept, most frequent first: the broken budgets, gates and reasons of failures."""
        return find_rejections(self)

    @functools.cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every measurement that trials of this run have."""
        return find_columns(self)

    @functools.cached_property
    def members(self) -> frozenset[int]:
        """The front's trials by number."""
        return frozenset(trial.number for trial in self.front)

    def group(self, trial: Trial) -> Group:
        """Which kind of mark a trial is in the charts."""
        return group_of(trial, self.members)

    @functools.cached_property
    def layer_tables(self) -> dict[int, LayerTable]:
        """What the layers became in the files of the baseline, the picks and the front, by trial."""
        return find_layer_tables(self)

    @functools.cached_property
    def _importances(self) -> Importances:
        return kept_importances(self.record.folder, self.record.trials, self.record.objectives)

    @property
    def importances(self) -> tuple[Importance, ...]:
        """How much each choice matters, for the front first, then for each objective; empty with few trials."""
        return self._importances.found

    @property
    def importance_problem(self) -> str:
        """Why that cannot be said, where a record is damaged; else empty."""
        return clean(self._importances.problem, 300)

    @functools.cached_property
    def allowed_drop(self) -> float:
        """The loss at which a file is worth nothing in the hypervolume."""
        baseline = self.record.baseline
        return allowed_drop(self.budgets, baseline.measurements if baseline else None)

    @functools.cached_property
    def volumes(self) -> tuple[Volume, ...]:
        """How the hypervolume grew."""
        baseline = self.record.baseline
        if baseline is None:
            return ()
        return volume_over_time(self.record.trials, self.record.objectives, baseline, self.allowed_drop)

    @functools.cached_property
    def ablation(self) -> tuple[Contribution, ...]:
        """What the best would be without each of its steps."""
        return find_ablation(self)

    @functools.cached_property
    def sensitivity(self) -> tuple[Sensitive, ...]:
        """How much the outputs move when one layer alone is compressed, in the model's order."""
        return find_sensitivity(self)

    def broken(self, trial: Trial) -> list[tuple[Budget, float]]:
        """The budgets that a trial breaks, with its values."""
        return [
            (budget, value)
            for budget in self.budgets
            if (value := self.finite(trial, budget.measurement)) is not None and budget.violation(value) > 0
        ]

    def why(self, trial: Trial) -> str:
        """Why a trial is not kept, in words; empty for one that is feasible."""
        if trial.duplicate_of is not None:
            return f"same candidate as trial {trial.duplicate_of}"
        if trial.state is State.INFEASIBLE:
            over = [
                f"over {budget_words(budget)} by {beyond(budget.violation(value))}"
                for budget, value in self.broken(trial)
            ]
            return "; ".join(over + ([clean(trial.reason, 400)] if trial.reason else []))
        gate = f"{clean(trial.gate, 40)}: " if trial.gate else ""
        return gate + clean(trial.reason, 400) if trial.reason else gate.removesuffix(": ")

    def finite(self, trial: Trial, measurement: str) -> float | None:
        """A measurement's value where it is a number."""
        value = trial.value(measurement)
        return value if value is not None and math.isfinite(value) else None
