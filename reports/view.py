"""The view: everything that is shown of a run, computed once. Sections, tables and the command line only draw it."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from typing import TYPE_CHECKING

from litetuner.reports.blocked import Blocked, find_blocked
from litetuner.reports.charts import Chart, find_charts
from litetuner.reports.conditions import Condition, find_conditions
from litetuner.reports.headline import Headline, find_headline
from litetuner.reports.row import Interval, Row, make_row
from litetuner.reports.words import beyond, budget_text, clean
from litetuner.search.budgets import Budget
from litetuner.search.trial import State, Trial

if TYPE_CHECKING:  # the record pulls in pydantic, which reports do not need
    from litetuner.search.record import RunRecord

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

    @property
    def overhead(self) -> float | None:
        """other / wall."""
        return self.other / self.wall if self.wall and self.other is not None else None


def budget_words(budget: Budget) -> str:
    """A budget in running text: ``max-deflated 60kB``."""
    return budget_text(budget).removeprefix("--")


class View:
    """What is shown of one run. ``record`` may not change meanwhile: all is computed at first use and kept."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.budgets: tuple[Budget, ...] = record.budgets
        self.bounded: bool = record.metric.bounded
        self.metric_name: str = clean(record.metric.name, 60)
        self.size_measurement: str = record.config.size_measurement
        self.target: str = record.config.target[0]

    @functools.cached_property
    def targets(self) -> tuple[str, ...]:
        """The targets of the configuration, then others that were measured earlier in the run."""
        found = dict.fromkeys(self.record.config.target)
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
    def picks(self) -> dict[str, Trial]:
        """Picks by name. They are picked from the front, which is its own front, and found sooner there."""
        return dataclasses.replace(self.record, trials=self.front).picks

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
        return None if self.picks else find_blocked(self.record.trials, self.budgets)

    @functools.cached_property
    def charts(self) -> tuple[Chart, ...]:
        return find_charts(self)

    @functools.cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """How the numbers of the best (else of the baseline) were measured."""
        trial = self.best_trial or self.record.baseline
        return () if trial is None else find_conditions(trial)

    @functools.cached_property
    def time_use(self) -> TimeUse:
        seconds = self.record.seconds
        named = [(KINDS.get(kind, clean(kind, 40)), seconds[kind]) for kind in (*KINDS, *seconds) if kind in seconds]
        work = [(name, value) for name, value in dict(named).items() if name not in ("wall", "other")]
        return TimeUse(seconds.get("wall"), tuple(work), seconds.get("other"))

    @functools.cached_property
    def rejections(self) -> tuple[tuple[str, int], ...]:
        """Why candidates were not kept, most frequent first: the broken budgets, gates and kinds of failure."""
        found: Counter[str] = Counter()
        for trial in self.record.trials:
            if trial.duplicate_of is None:
                found.update(self._kinds_of_rejection(trial))
        return tuple(found.most_common())

    def _kinds_of_rejection(self, trial: Trial) -> list[str]:
        if trial.state is State.INFEASIBLE:
            return [f"over {budget_words(budget)}" for budget, _ in self.broken(trial)]
        words = {
            State.PRUNED: f"stopped early by the gate {clean(trial.gate or 'unnamed', 40)}",
            State.INVALID: "refused by the rules",
            State.FAILED: "failed",
            State.LOST: "lost by the machine, asked again",
        }
        return [words[trial.state]] if trial.state in words else []

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
            return "; ".join(
                f"over {budget_words(budget)} by {beyond(budget.violation(value))}"
                for budget, value in self.broken(trial)
            )
        gate = f"{clean(trial.gate, 40)}: " if trial.gate else ""
        return gate + clean(trial.reason, 400) if trial.reason else gate.removesuffix(": ")

    def finite(self, trial: Trial, measurement: str) -> float | None:
        """A measurement's value where it is a number."""
        value = trial.value(measurement)
        return value if value is not None and math.isfinite(value) else None
