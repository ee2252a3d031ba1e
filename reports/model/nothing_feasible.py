"""Why nothing is feasible: the budgets that block, the nearest candidates, and what relaxing each budget gains."""

import dataclasses
from collections.abc import Mapping, Sequence

from litetuner.reports.model.rejections import exceeded_budgets
from litetuner.reports.model.rows import Row, measured_words
from litetuner.reports.text.formatting import budget_for, budget_text, plain, shell
from litetuner.search.config.budgets import Budget, violations
from litetuner.search.criteria import PROFILE
from litetuner.search.front import Objective, dominates
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial

MOST_NEAREST = 3
MOST_RELAXATIONS = 4  # for each budget
USEFUL_DROP = 0.1  # files with a larger accuracy drop are suggested only if there are no others


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """A budget that accepts the trial of ``row`` if only this budget is relaxed, to ``setting``.

    ``value`` is the trial's value of the measurement that the budget limits.
    """

    budget: Budget
    value: float
    setting: str
    row: Row


@dataclasses.dataclass(frozen=True)
class Excess:
    """A budget that a candidate exceeds: the value as text, the setting that accepts it, the excess (0.2: 20 %)."""

    budget: Budget
    value: str
    setting: str
    violation: float


@dataclasses.dataclass(frozen=True)
class NearMiss:
    """A candidate near the budgets, and the budgets that it exceeds."""

    row: Row
    exceeded: tuple[Excess, ...]


@dataclasses.dataclass(frozen=True)
class NothingFeasible:
    """Why nothing is feasible. ``reason`` is one sentence.

    ``nearest`` are the scored candidates whose largest violation is the smallest. ``relaxations`` has an entry for each
    budget that accepts a candidate when only this budget is relaxed: its useful settings, the smallest change first.
    Budgets are sorted by that change. ``not_alone`` are the exceeded budgets that no candidate exceeds alone.
    ``command`` is the command to run next.
    """

    reason: str
    nearest: tuple[NearMiss, ...]
    relaxations: tuple[tuple[Relaxation, ...], ...]
    not_alone: tuple[Budget, ...]
    command: str | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """The flags for the next search: the smallest relaxation, else all flags that the nearest candidate needs."""
        if self.relaxations:
            return (self.relaxations[0][0].setting,)
        return tuple(item.setting for item in self.nearest[0].exceeded) if self.nearest else ()


def find_nothing_feasible(record: RunRecord, rows: Mapping[int, Row]) -> NothingFeasible:
    own = [trial for trial in record.trials if trial.duplicate_of is None and trial.constraints.get(PROFILE, 0.0) <= 0]
    scored = [trial for trial in own if trial.state.scored]
    useful = [trial for trial in scored if (trial.value("drop") or 0.0) <= USEFUL_DROP] or scored
    found = {trial.number: violations(tuple(record.budgets), trial.measurements) for trial in useful}
    by_number = {trial.number: trial for trial in own}
    relaxations = []
    for budget in record.budgets:
        if items := _relax(budget, found, by_number, record.objectives):
            relaxations.append(tuple(Relaxation(budget, value, text, rows[at]) for text, (at, value) in items.items()))
    relaxations.sort(key=lambda items: items[0].budget.violation(items[0].value))
    alone = {items[0].budget.name for items in relaxations}
    exceeded = {name for values in found.values() for name, value in values.items() if value > 0}
    ranked = sorted(found, key=lambda number: (_distance(found[number]), number))[:MOST_NEAREST]
    result = NothingFeasible(
        reason=_reason(own, record.budgets, bool(found), [items[0].budget for items in relaxations]),
        nearest=tuple(NearMiss(rows[number], _excesses(by_number[number], record.budgets)) for number in ranked),
        relaxations=tuple(relaxations),
        not_alone=tuple(budget for budget in record.budgets if budget.name in exceeded - alone),
    )
    return dataclasses.replace(result, command=command(record.folder.path, result.settings, record.budgets))


def command(run: object, settings: Sequence[str], budgets: Sequence[Budget]) -> str | None:
    """The command for the same search with the budgets of ``settings``.

    It keeps measured trials and checks them again.
    """
    if not settings:
        return None
    flags = list(settings)
    # A flag replaces all values of its key in the TOML file, so the values that do not change are repeated.
    for key in {text.split(" ", 1)[0] for text in settings}:
        changed = {text.rpartition("=")[0] for text in settings if text.startswith(f"{key} ")}
        others = [text for budget in budgets if (text := budget_text(budget)).startswith(f"{key} ")]
        flags += [text for text in others if text.rpartition("=")[0] not in changed]
    return f"litetuner search {shell(f'{run}/litetuner.toml')} --out {shell(run)} {' '.join(flags)}"


def _excesses(trial: Trial, budgets: Sequence[Budget]) -> tuple[Excess, ...]:
    return tuple(
        Excess(budget, measured_words(trial, budget.measurement), budget_for(budget, value), budget.violation(value))
        for budget, value in exceeded_budgets(trial, budgets)
    )


def _relax(
    budget: Budget,
    violated: Mapping[int, Mapping[str, float]],
    trials: Mapping[int, Trial],
    objectives: Sequence[Objective],
) -> dict[str, tuple[int, float]]:
    """Trial number and value by setting, for trials within all other budgets.

    The smallest violation comes first. Trials that another one dominates in violation and objectives are left out.
    """
    passing = [
        number
        for number, found in violated.items()
        if found.get(budget.name, 0.0) > 0 and all(value <= 0 for name, value in found.items() if name != budget.name)
    ]
    costs = {
        number: (violated[number][budget.name], *(objective.cost(trials[number]) for objective in objectives))
        for number in passing
    }
    front = [number for number in passing if not any(dominates(other, costs[number]) for other in costs.values())]
    found: dict[str, tuple[int, float]] = {}
    for number in sorted(front, key=lambda number: (costs[number], number)):
        value = trials[number].measurements[budget.measurement].value
        found.setdefault(budget_for(budget, value), (number, value))
    return dict(list(found.items())[:MOST_RELAXATIONS])


def _distance(found: Mapping[str, float]) -> tuple[float, float]:
    exceeded = [value for value in found.values() if value > 0]
    return (max(exceeded, default=0.0), sum(exceeded))


def _reason(trials: Sequence[Trial], budgets: Sequence[Budget], scored: bool, relaxed: Sequence[Budget]) -> str:
    if not trials:
        return "No trial has finished yet. Repeat the search command to resume."
    if not scored:
        return "No candidate could be scored. The table of all trials shows the reasons."
    unreachable = []
    for budget in budgets:
        values = [value for trial in trials if (value := trial.value(budget.measurement)) is not None]
        reached = min(values, key=budget.violation, default=None)
        if reached is not None and budget.violation(reached) > 0:
            shown = plain(reached, budget.measurement)
            unreachable.append(f"{budget_text(budget)} (best value of any candidate: {shown})")
    if unreachable:
        return f"No candidate is within {_and(unreachable)}."
    names = [budget_text(budget) for budget in relaxed]
    if len(names) == 1:
        return f"{names[0]} blocks: some candidates are within all other budgets, none is within this one as well."
    if names:
        return f"{_and(names)} block each other: relaxing {'either' if len(names) == 2 else 'any'} of them is enough."
    every = _and([budget_text(budget) for budget in budgets])
    return f"Each budget can be met alone, but no candidate is within all of {every}."


def _and(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
