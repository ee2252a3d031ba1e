"""The result of a run: all rows, the baseline, the Pareto front, the picks, and the headline or blocking budgets."""

import dataclasses

from litetuner.reports.model.budget_checks import BudgetCheck, check_budgets
from litetuner.reports.model.columns import Column, find_columns
from litetuner.reports.model.conditions import Conversion, find_conversion, mixed_words, unstable_words
from litetuner.reports.model.headline import Headline, find_headline
from litetuner.reports.model.nothing_feasible import NothingFeasible, find_nothing_feasible
from litetuner.reports.model.rows import Row, Rows, measured_targets, metric_name
from litetuner.reports.text.steps import label_words
from litetuner.search.runs.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Result:
    """The content of the terminal output, ``summary.json``, ``trials.csv`` and exports. It is fast to compute.

    ``rows`` are the rows of all trials by number. ``front`` is the Pareto front of the first target, ``fronts`` holds
    the trial numbers on the Pareto front of each target. At most one of ``headline`` and ``nothing_feasible`` is set.
    ``checks`` are the budget checks of the best, or of the nearest candidate if nothing is feasible. Sentences that do
    not apply are empty.
    """

    record: RunRecord
    metric_name: str
    target: str  # the first target, whose latency is an objective
    targets: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: Rows
    baseline: Row | None
    front: tuple[Row, ...]
    fronts: dict[str, tuple[int, ...]]
    picks: dict[str, Row]
    headline: Headline | None
    nothing_feasible: NothingFeasible | None
    checks: tuple[BudgetCheck, ...]
    best_words: str  # explains each step of the best trial, one line for each step
    conversion: Conversion | None
    conversion_words: str
    unstable_words: str
    mixed_words: str

    @property
    def best(self) -> Row | None:
        return self.picks.get("best")

    @property
    def pick_names(self) -> dict[int, list[str]]:
        """The names of the picks by trial number."""
        found: dict[int, list[str]] = {}
        for name, row in self.picks.items():
            found.setdefault(row.trial, []).append(name)
        return found


def build_result(record: RunRecord) -> Result:
    targets, metric = measured_targets(record), metric_name(record)
    rows = Rows(record, targets)
    columns = find_columns(record, targets)
    picked, base = record.picks, record.baseline
    picks = {name: rows[trial.number] for name, trial in picked.items()}
    baseline = None if base is None else rows[base.number]
    conversion = find_conversion(base)
    blocked = None if picks else find_nothing_feasible(record, rows)
    shown = picked.get("best") or (record.trial(blocked.nearest[0].row.trial) if blocked and blocked.nearest else None)
    return Result(
        record=record,
        metric_name=metric,
        target=record.config.targets[0],
        targets=targets,
        columns=columns,
        rows=rows,
        baseline=baseline,
        front=tuple(rows[trial.number] for trial in record.front),
        fronts={target: tuple(trial.number for trial in own) for target, own in record.fronts.items()},
        picks=picks,
        headline=find_headline(record, picks.get("best"), baseline, columns),
        nothing_feasible=blocked,
        checks=() if shown is None else check_budgets(shown, record.budgets),
        best_words=label_words(picked["best"].candidate.steps) if "best" in picked else "",
        conversion=conversion,
        conversion_words="" if conversion is None else conversion.words(metric, record.metric.bounded),
        unstable_words=unstable_words(record.trials),
        mixed_words=mixed_words(record.front, base),
    )
