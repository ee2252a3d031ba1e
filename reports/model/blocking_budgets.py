"""Why nothing is feasible: which budget blocks, what comes nearest, and what giving way would buy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from litetuner.reports.text.formatting import budget_for, budget_text, plain, shell
from litetuner.search.config.budgets import Budget, violations
from litetuner.search.criteria import PROFILE
from litetuner.search.front import Objective, dominates
from litetuner.search.trial import Trial

MOST_NEAR = 3
MOST_STEPS = 4  # settings shown for one budget
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
class Near:
    """A candidate near the budgets, and those that it breaks."""

    trial: Trial
    broken: tuple[Broken, ...]


@dataclasses.dataclass(frozen=True)
class Blocked:
    """``reason`` is one sentence. ``nearest`` is the scored trial whose worst violation is the smallest, ``near`` the first few.

    ``relaxations`` holds the least that each budget alone would have to give, cheapest first; ``steps`` what giving more of
    it would buy (the front of its value and the objectives), by budget; ``hopeless`` the broken budgets that no
    candidate breaks alone.
    """

    reason: str
    nearest: Trial | None
    broken: tuple[Broken, ...]
    relaxations: tuple[Relaxation, ...]
    near: tuple[Near, ...] = ()
    steps: tuple[tuple[Relaxation, ...], ...] = ()
    hopeless: tuple[Budget, ...] = ()

    @property
    def settings(self) -> tuple[str, ...]:
        """The flags to repeat the command with: of the cheapest single relaxation, else all that the nearest trial needs."""
        if self.relaxations:
            return (self.relaxations[0].setting,)
        return tuple(item.setting for item in self.broken)


def command(run: object, blocked: Blocked, budgets: Sequence[Budget]) -> str | None:
    """What to type next: the same run with the budgets of ``blocked.settings``. What was measured is kept, and judged anew."""
    if not blocked.settings:
        return None
    settings = list(blocked.settings)
    for key in {
        setting.split(" ", 1)[0] for setting in settings
    }:  # a flag takes the place of all its values in the TOML
        changed = {setting.rpartition("=")[0] for setting in settings if setting.startswith(f"{key} ")}
        others = [text for budget in budgets if (text := budget_text(budget)).startswith(f"{key} ")]
        settings += [text for text in others if text.rpartition("=")[0] not in changed]
    return f"litetuner search {shell(f'{run}/litetuner.toml')} --out {shell(run)} {' '.join(settings)}"


def find_blocked(trials: Sequence[Trial], budgets: Sequence[Budget], objectives: Sequence[Objective] = ()) -> Blocked:
    """What stands in the way when no trial is feasible."""
    own = [trial for trial in trials if trial.duplicate_of is None and trial.constraints.get(PROFILE, 0.0) <= 0]
    working = [trial for trial in own if trial.state.scored and (trial.value("drop") or 0.0) <= USEFUL_DROP]
    advised = working or [trial for trial in own if trial.state.scored]
    scored = {trial.number: violations(tuple(budgets), trial.measurements) for trial in advised}
    by_number = {trial.number: trial for trial in own}
    steps = [found for budget in budgets if (found := _relax(budget, scored, by_number, objectives))]
    steps.sort(key=lambda items: items[0].budget.violation(items[0].value))
    relaxations = [items[0] for items in steps]
    ranked = sorted(scored, key=lambda number: (_distance(scored[number]), number))[:MOST_NEAR]
    near = tuple(Near(by_number[number], _broken(by_number[number], budgets)) for number in ranked)
    alone = {item.budget.name for item in relaxations}
    broken_by_all = {name for found in scored.values() for name, value in found.items() if value > 0}
    return Blocked(
        reason=_reason(own, budgets, scored, relaxations),
        nearest=near[0].trial if near else None,
        broken=near[0].broken if near else (),
        relaxations=tuple(relaxations),
        near=near,
        steps=tuple(steps),
        hopeless=tuple(budget for budget in budgets if budget.name in broken_by_all - alone),
    )


def _broken(trial: Trial, budgets: Sequence[Budget]) -> tuple[Broken, ...]:
    return tuple(
        Broken(budget, value, budget_for(budget, value), budget.violation(value))
        for budget in budgets
        if (value := trial.value(budget.measurement)) is not None and budget.violation(value) > 0
    )


def _relax(
    budget: Budget, scored: dict[int, dict[str, float]], trials: dict[int, Trial], objectives: Sequence[Objective]
) -> tuple[Relaxation, ...]:
    """Trials that keep all other budgets, the one that breaks this one least first; each further one is better in something."""
    passing = [
        number
        for number, found in scored.items()
        if found.get(budget.name, 0.0) > 0 and all(value <= 0 for name, value in found.items() if name != budget.name)
    ]
    costs = {
        number: (scored[number][budget.name], *(objective.cost(trials[number]) for objective in objectives))
        for number in passing
    }
    front = [number for number in passing if not any(dominates(other, costs[number]) for other in costs.values())]
    found: dict[str, Relaxation] = {}
    for number in sorted(front, key=lambda number: (costs[number], number)):
        value = trials[number].measurements[budget.measurement].value
        setting = budget_for(budget, value)
        found.setdefault(setting, Relaxation(budget, value, setting, trials[number]))
    return tuple(found.values())[:MOST_STEPS]


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
