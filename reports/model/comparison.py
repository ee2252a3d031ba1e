"""Two runs of one model on the same data under the same budgets: their hypervolumes, Pareto fronts and best files."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from litetuner.reports.model.result import Result, build_result
from litetuner.reports.model.rows import Row, finite, finite_value
from litetuner.reports.text.formatting import budget_text, clean, drop_title, latency, number, points, size, times
from litetuner.search.config.budgets import Budget, allowed_drop, violations
from litetuner.search.config.config import make_config
from litetuner.search.config.units import format_seconds
from litetuner.search.front import Objective, dominates, front
from litetuner.search.hypervolume import volume_over_time
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import RunError

SCHEMA_VERSION = 1
BUDGETS = ("max_size", "max_compressed_size", "max_latency", "max_memory", "max_drop", "min_metric")


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two runs, under the budgets of the comparison.

    ``volume`` is the hypervolume of its Pareto front relative to its own baseline: 0 for the baseline alone, 1 for no
    accuracy drop at 1/32 of the baseline's costs. ``ahead`` is the number of trials on its Pareto front that no trial
    of the other run's front dominates or equals.
    """

    name: str
    result: Result
    volume: float
    ahead: int

    @property
    def best(self) -> Row | None:
        return self.result.best


@dataclasses.dataclass(frozen=True)
class FrontLine:
    """The Pareto front of a run in one chart.

    ``points`` are its trials as (x, metric, text). ``corners`` are the trials as (x, metric) that no other trial
    dominates in these two measurements.
    """

    points: tuple[tuple[float, float, str], ...]
    corners: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class FrontChart:
    """A chart of both runs' Pareto fronts: the metric against another measurement."""

    name: str
    title: str
    lines: tuple[FrontLine, FrontLine]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Both runs, the budgets that apply to both, and notes on differences between their conditions.

    ``lines`` are the rows of the comparison table as (what, first run, second run). ``verdict`` is one sentence that
    compares the hypervolumes.
    """

    sides: tuple[Side, Side]
    budgets: tuple[str, ...]
    notes: tuple[str, ...]
    lines: tuple[tuple[str, str, str], ...]
    verdict: str
    charts: tuple[FrontChart, ...]

    def to_json(self) -> dict[str, Any]:
        found = {
            "schema_version": SCHEMA_VERSION,
            "budgets": list(self.budgets),
            "notes": list(self.notes),
            "runs": [
                {
                    "run": str(side.result.record.folder.path),
                    "trials": len(side.result.record.trials),
                    "seconds": side.result.record.seconds.get("wall"),
                    "hypervolume": side.volume,
                    "front": [row.to_json() for row in side.result.front],
                    "ahead": side.ahead,
                    "best": None if side.best is None else side.best.to_json(),
                }
                for side in self.sides
            ],
        }
        return dict(finite(found))


def compare(first: RunRecord, second: RunRecord, budgets: Mapping[str, Any] | None = None) -> Comparison:
    """Compare two runs under ``budgets`` (keys of the configuration, such as ``max_drop``), by default the first run's.

    Raises ``RunError`` for runs whose numbers have different meanings; its message lists all differences. Raises
    ``ConfigError`` for a budget that is not valid.
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
        sides.append(Side(names[index], build_result(record), _volume(record), ahead))
    return Comparison(
        sides=(sides[0], sides[1]),
        budgets=tuple(budget_text(budget) for budget in records[0].budgets),
        notes=tuple(_notes(first, second, records[0].budgets)),
        lines=_lines(*sides),
        verdict=_verdict(*sides),
        charts=_charts(sides[0], sides[1]),
    )


def _lines(first: Side, second: Side) -> tuple[tuple[str, str, str], ...]:
    """The rows of the comparison table: (what, value of the first run, value of the second run)."""
    bounded = first.result.record.metric.bounded

    def line(what: str, show: Callable[[Side], str]) -> tuple[str, str, str]:
        return what, show(first), show(second)

    def of_best(show: Callable[[Row], str]) -> Callable[[Side], str]:
        return lambda side: "–" if side.best is None else show(side.best)

    return (
        line("search time", lambda side: format_seconds(side.result.record.seconds.get("wall") or 0.0)),
        line("trials", lambda side: str(len(side.result.record.trials))),
        line("Pareto front", lambda side: str(len(side.result.front))),
        line("hypervolume", lambda side: f"{side.volume:.4f}"),
        line("not dominated or matched", lambda side: f"{side.ahead} of {len(side.result.front)}"),
        line("best", of_best(lambda row: f"{clean(row.label, 60)}, trial {row.trial}")),
        line(f"  {first.result.metric_name}", of_best(lambda row: number(row.metric))),
        line(f"  {drop_title(bounded)}", of_best(lambda row: points(row.drop, bounded))),
        line(f"  {drop_title(bounded)}, test split", of_best(lambda row: points(row.test_drop, bounded))),
        line("  compressed size (zlib)", of_best(lambda row: size(row.compressed_bytes))),
        line("  file size", of_best(lambda row: size(row.file_bytes))),
        line("  latency", of_best(lambda row: latency(row.latency_us.get(first.result.target)))),
        line("  speed", of_best(lambda row: times(row.latency_ratio.get(first.result.target)))),
    )


def _verdict(first: Side, second: Side) -> str:
    """One sentence: which Pareto front has more hypervolume, and by how much."""
    more, less = (first, second) if first.volume >= second.volume else (second, first)
    if more.volume == 0:
        return "Neither run has a file within these budgets that is better than the baseline."
    if less.volume == 0:
        return f"Only {more.name} has files within these budgets."
    if more.volume / less.volume < 1.0005:
        return "Both Pareto fronts have the same hypervolume."
    return f"The Pareto front of {more.name} has {100 * (more.volume / less.volume - 1):.1f} % more hypervolume."


def _charts(first: Side, second: Side) -> tuple[FrontChart, ...]:
    config = first.result.record.config
    shown = {
        "size": (config.size_measurement, f"{config.size} bytes"),
        "latency": (config.latency_measurement, f"latency on {first.result.target}, µs"),
    }
    return tuple(
        FrontChart(name, title, (_front_line(first, measurement), _front_line(second, measurement)))
        for name, (measurement, title) in shown.items()
    )


def _front_line(side: Side, measurement: str) -> FrontLine:
    record = side.result.record
    shown = [trial for trial in record.front if finite_value(trial, measurement) is not None]
    pair = [Objective("metric", record.metric.direction), Objective(measurement, "minimize")]
    corners = sorted(front(shown, pair), key=lambda trial: trial.value(measurement) or 0.0)

    def at(trial: Trial) -> tuple[float, float]:
        return trial.measurements[measurement].value, trial.measurements["metric"].value

    return FrontLine(
        tuple((*at(trial), f"trial {trial.number}: {clean(trial.candidate.label, 80)}") for trial in shown),
        tuple(at(trial) for trial in corners),
    )


def _check(first: RunRecord, second: RunRecord) -> None:
    """Raise ``RunError`` if the numbers of the two runs have different meanings."""
    sides = [_meaning(record) for record in (first, second)]
    differences = [
        f"{what}: {clean(value, 60)} and {clean(sides[1][what], 60)}"
        for what, value in sides[0].items()
        if value != sides[1][what]
    ]
    if differences:
        raise RunError(
            f"{first.folder.path} and {second.folder.path} cannot be compared because their numbers have different meanings: "
            f"{'; '.join(differences)}."
        )


def _meaning(record: RunRecord) -> dict[str, Any]:
    """The values that must be equal in two runs whose numbers are compared. Raises ``RunError`` without a baseline."""
    if record.baseline is None:
        raise RunError(
            f"{record.folder.path} has no baseline yet, so it cannot be compared. Repeat its search command to resume."
        )
    return {
        "model": record.model.sha256[:16],
        "data": record.data.sha256[:16],
        "samples of the search split": record.data.counts.get("search"),
        "metric": record.metric.name,
        "objectives": ", ".join(objective.measurement for objective in record.objectives),
        "threads": record.config.threads,
        "the baseline's metric": record.baseline.value("metric"),
        "the baseline's compressed size": record.baseline.value("compressed_bytes"),
    }


def _judged(record: RunRecord, budgets: Mapping[str, Any]) -> RunRecord:
    """The run with its trials checked against other budgets. Pruned trials stay pruned."""
    values = record.config.model_dump(by_alias=True, exclude_none=True)
    values = {name: value for name, value in values.items() if name not in BUDGETS} | dict(budgets)
    config = make_config(values, where="compare")
    trials = tuple(_rejudged(trial, config.budgets) for trial in record.trials)
    return dataclasses.replace(record, config=config, trials=trials)


def _rejudged(trial: Trial, budgets: tuple[Budget, ...]) -> Trial:
    if not trial.state.scored:
        return trial
    broken = violations(budgets, trial.measurements)
    # A budget on a missing measurement counts as exceeded.
    kept = len(broken) == len(budgets) and all(value <= 0 for value in broken.values())
    return dataclasses.replace(trial, constraints=broken, state=State.COMPLETE if kept else State.INFEASIBLE)


def _costs(trial: Trial, record: RunRecord) -> tuple[float, ...]:
    """The costs of a trial by objective.

    Latencies are relative to the run's baseline, because the machines may differ.
    """
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
    allowed = allowed_drop(record.budgets, baseline.measurements)
    grown = volume_over_time(record.trials, record.objectives, baseline, allowed)
    return grown[-1].value if grown else 0.0


def _names(first: RunRecord, second: RunRecord) -> tuple[str, str]:
    one, two = (clean(record.folder.path.absolute().name, 40) for record in (first, second))
    if one != two:
        return one, two
    one, two = (clean(record.folder.path, 60) for record in (first, second))
    return (one, two) if one != two else (f"{one} (1)", f"{two} (2)")


def _notes(first: RunRecord, second: RunRecord, budgets: tuple[Budget, ...]) -> list[str]:
    notes = []
    machines = [record.environment.get("cpu") for record in (first, second)]
    if machines[0] != machines[1]:
        notes.append(
            f"Latencies were measured on different machines ({clean(machines[0], 60)} and {clean(machines[1], 60)}): "
            "only their ratios to the baseline are compared."
        )
    versions = [record.environment.get("packages") or {} for record in (first, second)]
    other = [name for name in versions[0] if versions[0][name] != versions[1].get(name)]
    if other:
        notes.append(f"Versions differ: {', '.join(clean(name, 40) for name in other)}.")
    walls = [record.seconds.get("wall") or 0.0 for record in (first, second)]
    if max(walls) > 1.2 * min(walls):
        notes.append("One search took over 20 % more time than the other.")
    stopped = [sum(trial.state is State.PRUNED for trial in record.trials) for record in (first, second)]
    if any(stopped) and (first.budgets != budgets or second.budgets != budgets):
        notes.append(
            f"{stopped[0]} and {stopped[1]} candidates were pruned under the budgets of their own runs, which differ."
        )
    return notes
