"""Why candidates were rejected, grouped by kind of reason, the most frequent first."""

import dataclasses
import re
from collections.abc import Sequence

from litetuner.reports.model.rows import finite_value, measured_words
from litetuner.reports.text.formatting import beyond, budget_words, clean
from litetuner.search.config.budgets import Budget
from litetuner.search.trial import State, Trial

NUMBERS = re.compile(r"\d[\d.,]*")
MOST_EXAMPLES = 5
KINDS = {
    State.INVALID: "invalid (rejected by the rules)",
    State.FAILED: "failed",
    State.LOST: "lost (the machine failed), repeated",
}


@dataclasses.dataclass(frozen=True)
class Rejection:
    """One kind of rejection. ``trials`` are the numbers of its trials, ``example`` is the reason of the first one.

    ``share`` is the number of its trials relative to the most frequent kind.
    """

    kind: str
    state: str
    example: str
    trials: tuple[int, ...]
    share: float = 1.0

    @property
    def count(self) -> int:
        return len(self.trials)

    @property
    def shown(self) -> tuple[int, ...]:
        return self.trials[:MOST_EXAMPLES]


def exceeded_budgets(trial: Trial, budgets: Sequence[Budget], split: str = "") -> list[tuple[Budget, float]]:
    """The budgets that a trial exceeds, with its values.

    With ``split="test_"`` the values are those of the test split.
    """
    return [
        (budget, value)
        for budget in budgets
        if (value := finite_value(trial, split + budget.measurement)) is not None and budget.violation(value) > 0
    ]


def why_rejected(trial: Trial, budgets: Sequence[Budget]) -> str:
    """Why a trial was rejected, as text; empty for a feasible trial."""
    if trial.duplicate_of is not None:
        return f"same {'file' if trial.sha256 else 'candidate'} as trial {trial.duplicate_of}"
    if trial.state is State.INFEASIBLE:
        over = [
            f"over {budget_words(budget)} by {beyond(budget.violation(value))}"
            for budget, value in exceeded_budgets(trial, budgets)
        ]
        return "; ".join(over + ([clean(trial.reason, 400)] if trial.reason else []))
    gate = f"{clean(trial.gate, 40)}: " if trial.gate else ""
    return gate + clean(trial.reason, 400) if trial.reason else gate.removesuffix(": ")


def find_rejections(trials: Sequence[Trial], budgets: Sequence[Budget]) -> tuple[Rejection, ...]:
    """One rejection for each exceeded budget, each gate, and each reason of failed, lost or invalid candidates.

    Reasons that differ only in numbers count as one.
    """
    found: dict[tuple[str, str], list[tuple[Trial, str]]] = {}
    for trial in trials:
        if trial.duplicate_of is None:
            for kind, detail, example in _reasons(trial, budgets):
                found.setdefault((kind, detail), []).append((trial, example))
    largest = max((len(items) for items in found.values()), default=0)
    listed = [
        Rejection(
            kind=kind,
            state=str(items[0][0].state).lower(),
            example=items[0][1],
            trials=tuple(trial.number for trial, _ in items),
            share=len(items) / largest,
        )
        for (kind, _), items in found.items()
    ]
    return tuple(sorted(listed, key=lambda item: (-item.count, item.kind, item.trials)))


def _reasons(trial: Trial, budgets: Sequence[Budget]) -> list[tuple[str, str, str]]:
    """The reasons of a trial as (kind, detail, text). Reasons with the same kind and detail form one rejection."""
    text = clean(trial.reason or "", 300)
    if trial.state is State.INFEASIBLE:
        return [
            (
                f"over {budget_words(budget)}",
                "",
                f"{measured_words(trial, budget.measurement)}, {beyond(budget.violation(value))} beyond",
            )
            for budget, value in exceeded_budgets(trial, budgets)
        ]
    if trial.state is State.PRUNED:
        return [(f"pruned by the gate {clean(trial.gate or 'unnamed', 40)}", "", text)]
    if trial.state in KINDS:
        return [(KINDS[trial.state], NUMBERS.sub("#", clean(trial.reason or "", 160)), text)]
    return []
