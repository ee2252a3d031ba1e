"""Why nothing is feasible: which budget blocks, what comes nearest, and what giving way would buy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from litetuner.reports.words import budget_for, budget_text, plain
from litetuner.search.budgets import Budget, violations
from litetuner.search.trial import Trial

USEFUL_DROP = 0.1  # a file that lost more than this is no advice, however small it is


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """One budget that, relaxed alone to ``setting``, would let ``trial`` pass; ``value`` is what the trial has."""

    budget: Budget
    value: float
    setting: str
    trial: Trial


@dataclasses.dataclass(frozen=True)
class Broken:
    """A budget that the nearest trial breaks: its value there, the setting that would let it pass, how far off (0.2: 20 %)."""

    budget: Budget
    value: float
    setting: str
    violation: float


@dataclasses.dataclass(frozen=True)
class Blocked:
    """``reason`` is one sentence. ``nearest`` is the scored trial whose worst violation is the smallest."""

    reason: str
    nearest: Trial | None
    broken: tuple[Broken, ...]
    relaxations: tuple[Relaxation, ...]

    @property
    def settings(self) -> tuple[str, ...]:
        """The flags to repeat the command with: of the cheapest single relaxation, else all that the nearest trial needs."""
        if self.relaxations:
            return (self.relaxations[0].setting,)
        return tuple(item.setting for item in self.broken)


def find_blocked(trials: Sequence[Trial], budgets: Sequence[Budget]) -> Blocked:
    """What stands in the way when no trial is feasible."""
    own = [trial for trial in trials if trial.duplicate_of is None]
    working = [trial for trial in own if trial.state.scored and (trial.value("drop") or 0.0) <= USEFUL_DROP]
    advised = working or [trial for trial in own if trial.state.scored]
    scored = {trial.number: violations(tuple(budgets), trial.measurements) for trial in advised}
    by_number = {trial.number: trial for trial in own}
    relaxations = [found for budget in budgets if (found := _relax(budget, scored, by_number))]
    relaxations.sort(key=lambda item: item.budget.violation(item.value))
    nearest = min(scored, key=lambda number: _distance(scored[number]), default=None)
    broken: tuple[Broken, ...] = ()
    if nearest is not None:
        broken = tuple(
            Broken(budget, value, budget_for(budget, value), budget.violation(value))
            for budget in budgets
            if (value := by_number[nearest].value(budget.measurement)) is not None and budget.violation(value) > 0
        )
    return Blocked(
        reason=_reason(own, budgets, scored, relaxations),
        nearest=None if nearest is None else by_number[nearest],
        broken=broken,
        relaxations=tuple(relaxations),
    )


def _relax(budget: Budget, scored: dict[int, dict[str, float]], trials: dict[int, Trial]) -> Relaxation | None:
    """The trial that keeps all other budgets and breaks this one least."""
    passing = [
        number
        for number, found in scored.items()
        if found.get(budget.name, 0.0) > 0 and all(value <= 0 for name, value in found.items() if name != budget.name)
    ]
    if not passing:
        return None
    trial = trials[min(passing, key=lambda number: scored[number][budget.name])]
    value = trial.measurements[budget.measurement].value
    return Relaxation(budget, value, budget_for(budget, value), trial)


def _distance(found: dict[str, float]) -> tuple[float, float]:
    broken = [value for value in found.values() if value > 0]
    return (max(broken, default=0.0), sum(broken))


def _reason(
    trials: Sequence[Trial],
    budgets: Sequence[Budget],
    scored: dict[int, dict[str, float]],
    relaxations: Sequence[Relaxation],
) -> str:
    if not trials:
        return "Nothing was tried yet: repeat the search command, and it goes on."
    if not scored:
        return "No candidate could be scored; the table of all trials says why."
    alone = []
    for budget in budgets:
        values = [value for trial in trials if (value := trial.value(budget.measurement)) is not None]
        reached = min(values, key=budget.violation, default=None)
        if reached is not None and budget.violation(reached) > 0:
            alone.append(
                f"{budget_text(budget)} (the best that any candidate reached is {plain(reached, budget.measurement)})"
            )
    if alone:
        return f"No candidate keeps {_and(alone)}."
    if relaxations:
        names = [budget_text(item.budget) for item in relaxations]
        if len(names) == 1:
            return f"{names[0]} blocks: candidates keep all other budgets, none keeps it as well."
        return f"{_and(names)} block each other: giving way on {'either' if len(names) == 2 else 'any'} one is enough."
    return f"Each budget can be kept alone, but no candidate keeps all of {_and([budget_text(b) for b in budgets])}."


def _and(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
