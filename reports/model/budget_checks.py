"""Checks whether a trial meets each budget of a run: met, not met, not proven, or not measured."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from litetuner.reports.model.rows import finite_interval, finite_value, measured_words
from litetuner.reports.text.formatting import budget_words, interval_words
from litetuner.search.config.budgets import Budget
from litetuner.search.trial import Trial

Verdict = Literal["met", "not met", "not proven", "not measured"]


@dataclasses.dataclass(frozen=True)
class BudgetCheck:
    """One budget and a trial's value as text. ``interval`` is the 95 % interval, empty if there is none.

    ``not proven`` means that the value is within the budget, but its interval crosses the limit.
    """

    budget: str
    value: str
    interval: str
    verdict: Verdict

    @property
    def words(self) -> str:
        """One line, such as ``max-drop 1%: 0.83 points (0.48 to 1.19 points), not proven``."""
        interval = f" ({self.interval})" if self.interval and self.verdict == "not proven" else ""
        return f"{self.budget}: {self.value}{interval}, {self.verdict}"


def check_budgets(trial: Trial, budgets: Sequence[Budget]) -> tuple[BudgetCheck, ...]:
    """One check for each budget, with the trial's values on the search split."""
    return tuple(_check(trial, budget) for budget in budgets)


def _check(trial: Trial, budget: Budget) -> BudgetCheck:
    name, text = budget.measurement, budget_words(budget)
    value = finite_value(trial, name)
    if value is None:
        return BudgetCheck(text, "–", "", "not measured")
    interval = finite_interval(trial, name)
    crosses = interval is not None and any(budget.violation(bound) > 0 for bound in interval)
    verdict: Verdict = "not met" if budget.violation(value) > 0 else "not proven" if crosses else "met"
    shown = interval_words(interval, name, trial.measurements[name].unit)
    return BudgetCheck(text, measured_words(trial, name), shown, verdict)
