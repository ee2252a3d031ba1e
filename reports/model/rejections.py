"""Why candidates were not kept: reasons of one kind together, the most frequent first."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from litetuner.reports.text.formatting import beyond, budget_text, clean
from litetuner.search.trial import State, Trial

if TYPE_CHECKING:
    from litetuner.reports.model.view import View

NUMBERS = re.compile(r"\d[\d.,]*")
MOST_EXAMPLES = 5


@dataclasses.dataclass(frozen=True)
class Rejection:
    """``kind`` in words; ``example`` is what the first of these trials was told; ``trials`` are all of them by number."""

    kind: str
    state: str
    example: str
    trials: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.trials)

    @property
    def shown(self) -> tuple[int, ...]:
        return self.trials[:MOST_EXAMPLES]


WORDS = {
    State.INVALID: "refused by the rules",
    State.FAILED: "failed",
    State.LOST: "lost by the machine, asked again",
}


def find_rejections(view: View) -> tuple[Rejection, ...]:
    """One for each broken budget, gate, and different reason (numbers aside) of a failure or a refusal."""
    found: dict[tuple[str, str], list[Trial]] = {}
    for trial in view.record.trials:
        if trial.duplicate_of is None:
            for key in _keys(view, trial):
                found.setdefault(key, []).append(trial)
    listed = [
        Rejection(
            kind, str(trials[0].state).lower(), _example(view, kind, trials[0]), tuple(trial.number for trial in trials)
        )
        for (kind, _), trials in found.items()
    ]
    return tuple(sorted(listed, key=lambda item: (-item.count, item.kind, item.trials)))


def _keys(view: View, trial: Trial) -> list[tuple[str, str]]:
    """Kind, and what tells reasons of one kind apart."""
    if trial.state is State.INFEASIBLE:
        return [(f"over {budget_text(budget).removeprefix('--')}", "") for budget, _ in view.broken(trial)]
    if trial.state is State.PRUNED:
        return [(f"stopped early by the gate {clean(trial.gate or 'unnamed', 40)}", "")]
    if trial.state in WORDS:
        return [(WORDS[trial.state], NUMBERS.sub("#", clean(trial.reason or "", 160)))]
    return []


def _example(view: View, kind: str, trial: Trial) -> str:
    if trial.state is not State.INFEASIBLE:
        return clean(trial.reason or "", 300)
    for budget, value in view.broken(trial):
        if kind.endswith(budget_text(budget).removeprefix("--")):
            return f"{budget.show(value).replace('us', 'µs')}, {beyond(budget.violation(value))} beyond"
    return ""
