"""Two runs of one model on the same data, under the same budgets: whose front covers more, whose best is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litetuner.reports.files.plain_json import finite
from litetuner.reports.model.rows import Row
from litetuner.reports.model.view import View
from litetuner.reports.text.formatting import budget_text, clean
from litetuner.search.config.budgets import Budget, violations
from litetuner.search.config.config import make_config
from litetuner.search.front import dominates
from litetuner.search.hypervolume import volume_over_time
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import RunError

if TYPE_CHECKING:
    from litetuner.search.runs.record import RunRecord

SCHEMA_VERSION = 1
BUDGETS = ("max_size", "max_compressed_size", "max_latency", "max_memory", "max_drop", "min_metric")


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two runs under the budgets of the comparison.

    ``volume`` is the hypervolume of its front against its own baseline (0: the baseline alone, 1: nothing lost at 1/32 of it),
    ``ahead`` how many of its front no file of the other run dominates or equals.
    """

    name: str
    view: View
    volume: float
    ahead: int

    @property
    def best(self) -> Row | None:
        return self.view.best


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Both runs, the budgets that both were judged by, and what a reader should know of their conditions."""

    sides: tuple[Side, Side]
    budgets: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        found = {
            "schema_version": SCHEMA_VERSION,
            "budgets": list(self.budgets),
            "notes": list(self.notes),
            "runs": [
                {
                    "run": str(side.view.record.folder.path),
                    "trials": len(side.view.record.trials),
                    "seconds": side.view.record.seconds.get("wall"),
                    "hypervolume": side.volume,
                    "front": [side.view.row(trial).to_json() for trial in side.view.front],
                    "ahead": side.ahead,
                    "best": None if side.best is None else side.best.to_json(),
                }
                for side in self.sides
            ],
        }
        return dict(finite(found))


def compare(first: RunRecord, second: RunRecord, budgets: Mapping[str, Any] | None = None) -> Comparison:
    """Compare two runs under ``budgets`` (keys of the configuration, such as ``max_drop``), else under the first run's.

    Raises ``RunError`` for runs whose numbers do not mean the same, with every difference; ``ConfigError`` for a budget that is
    none.
    """
    _check(first, second)
    given = {name: value for name, value in (budgets or {}).items() if value not in (None, (), [])}
    asked = given or {name: getattr(first.config, name) for name in BUDGETS if getattr(first.config, name, None)}
    records = [_judged(record, asked) for record in (first, second)]
    fronts = [[_costs(trial, record) for trial in record.front] for record in records]
    names = _names(first, second)
    sides = []
    for index, record in enumerate(records):
        others = fronts[1 - index]
        ahead = sum(not any(dominates(other, own) or other == own for other in others) for own in fronts[index])
        sides.append(Side(names[index], View(record), _volume(record), ahead))
    return Comparison(
        sides=(sides[0], sides[1]),
        budgets=tuple(budget_text(budget) for budget in records[0].budgets),
        notes=tuple(_notes(first, second, records[0].budgets)),
    )


def _check(first: RunRecord, second: RunRecord) -> None:
    """Numbers of two runs can be compared only where they measure the same thing."""
    base = [record.baseline for record in (first, second)]
    if base[0] is None or base[1] is None:
        missing = (first if base[0] is None else second).folder.path
        raise RunError(f"{missing} has no baseline yet, so nothing can be compared. Repeat its search command.")
    pairs: dict[str, tuple[Any, Any]] = {
        "model": _pair(first, second, lambda record: record.model.sha256[:16]),
        "data": _pair(first, second, lambda record: record.data.sha256[:16]),
        "samples of the search split": _pair(first, second, lambda record: record.data.counts.get("search")),
        "metric": _pair(first, second, lambda record: record.metric.name),
        "objectives": _pair(first, second, lambda r: ", ".join(o.measurement for o in r.objectives)),
        "threads": _pair(first, second, lambda record: record.config.threads),
        "the baseline's metric": (base[0].value("metric"), base[1].value("metric")),
        "the baseline's compressed size": (base[0].value("compressed_bytes"), base[1].value("compressed_bytes")),
    }
    differences = [f"{what}: {clean(a, 60)} and {clean(b, 60)}" for what, (a, b) in pairs.items() if a != b]
    if differences:
        raise RunError(
            f"{first.folder.path} and {second.folder.path} cannot be compared, since their numbers do not mean the same: "
            f"{'; '.join(differences)}."
        )


def _pair(first: RunRecord, second: RunRecord, what: Any) -> tuple[Any, Any]:
    return what(first), what(second)


def _judged(record: RunRecord, budgets: Mapping[str, Any]) -> RunRecord:
    """The run as it would be under other budgets; what a gate stopped stays stopped."""
    values = record.config.model_dump(by_alias=True, exclude_none=True)
    values = {name: value for name, value in values.items() if name not in BUDGETS} | dict(budgets)
    config = make_config(values, where="compare")
    trials = tuple(_rejudged(trial, config.budgets) for trial in record.trials)
    return dataclasses.replace(record, config=config, trials=trials)


def _rejudged(trial: Trial, budgets: tuple[Budget, ...]) -> Trial:
    if not trial.state.scored:
        return trial
    broken = violations(budgets, trial.measurements)
    # A budget on what was not measured is not kept.
    kept = len(broken) == len(budgets) and all(value <= 0 for value in broken.values())
    return dataclasses.replace(trial, constraints=broken, state=State.COMPLETE if kept else State.INFEASIBLE)


def _costs(trial: Trial, record: RunRecord) -> tuple[float, ...]:
    """The trial's costs relative to its own baseline where machines may differ: latency counts as a share of the baseline's."""
    found = []
    for objective in record.objectives:
        cost = objective.cost(trial)
        base = record.baseline.value(objective.measurement) if record.baseline else None
        relative = objective.measurement.startswith("latency_us") and base
        found.append(cost / base if relative and base else cost)
    return tuple(found)


def _volume(record: RunRecord) -> float:
    baseline = record.baseline
    if baseline is None:
        return 0.0
    grown = volume_over_time(record.trials, record.objectives, baseline, View(record).allowed_drop)
    return grown[-1].value if grown else 0.0


def _names(first: RunRecord, second: RunRecord) -> tuple[str, str]:
    one, two = (clean(record.folder.path.absolute().name, 40) for record in (first, second))
    if one != two:
        return one, two
    one, two = (clean(record.folder.path, 60) for record in (first, second))
    return (one, two) if one != two else (f"{one} (1)", f"{two} (2)")


def _notes(first: RunRecord, second: RunRecord, budgets: tuple[Budget, ...]) -> list[str]:
    notes = []
    machines = _pair(first, second, lambda record: record.environment.get("cpu"))
    if machines[0] != machines[1]:
        notes.append(
            f"Latencies were measured on different machines ({clean(machines[0], 60)} and {clean(machines[1], 60)}): "
            "only their ratios to the baseline are compared."
        )
    versions = _pair(first, second, lambda record: record.environment.get("packages") or {})
    other = [name for name in versions[0] if versions[0][name] != versions[1].get(name)]
    if other:
        notes.append(f"Versions differ: {', '.join(clean(name, 40) for name in other)}.")
    walls = _pair(first, second, lambda record: record.seconds.get("wall") or 0.0)
    if max(walls) > 1.2 * min(walls):
        notes.append("One search had more time than the other.")
    stopped = [sum(trial.state is State.PRUNED for trial in record.trials) for record in (first, second)]
    if any(stopped) and (first.budgets != budgets or second.budgets != budgets):
        notes.append(
            f"{stopped[0]} and {stopped[1]} candidates were stopped early under the budgets of their own runs, which are others."
        )
    return notes
