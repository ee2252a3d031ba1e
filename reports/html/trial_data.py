"""The trials as one compact table for the page's scripts, which use it for hover texts, details and table rows."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from litetuner.reports.model.report import Report
from litetuner.reports.model.sections.invariants import shape_words
from litetuner.reports.model.sections.layers import LayerRow, LayerTable
from litetuner.reports.model.sections.trial_details import STATES, StepDetails, TrialDetails
from litetuner.reports.text.formatting import shell, size
from litetuner.reports.text.layers import kernel_words

T = TypeVar("T")
GROUPS = ("stopped", "infeasible", "feasible", "front", "baseline")  # the charts draw the groups in this order


class Numbered(Generic[T]):
    """Assigns a number to each distinct value; equal values get the same number."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}

    def __call__(self, value: T) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def listed(self) -> list[T]:
        return list(self._numbers)


def trial_data(report: Report) -> dict[str, Any]:
    """The table as JSON. Lists have one entry for each trial, in order; ``None`` means not measured."""
    texts: Numbered[str] = Numbered()
    steps: Numbered[StepDetails] = Numbered()
    trials = report.trials
    at = {trial.number: index for index, trial in enumerate(trials)}
    columns = range(len(report.result.columns))

    def each(show: Callable[[TrialDetails], Any]) -> list[Any]:
        return [show(trial) for trial in trials]

    data: dict[str, Any] = {
        "run": _run(report, at),
        "columns": [{"title": c.title, "axis": c.axis, "less": c.minimize} for c in report.result.columns],
        "kinds": list(STATES),
        "roles": list(GROUPS),
        "number": each(lambda trial: trial.number),
        "kind": each(lambda trial: STATES.index(trial.state)),
        "role": each(lambda trial: -1 if trial.group is None else GROUPS.index(trial.group)),
        "label": each(lambda trial: texts(trial.label)),
        "why": each(lambda trial: texts(trial.why)),
        "origin": each(lambda trial: texts(trial.origin)),
        "since": each(lambda trial: texts(trial.finished_after)),
        "seconds": each(lambda trial: [[texts(name), texts(text)] for name, text in trial.stages]),
        "steps": each(lambda trial: [steps(step) for step in trial.steps]),
        "notes": each(lambda trial: [texts(note) for note in trial.notes]),
        "parts": each(lambda trial: [[texts(layer), texts(text)] for layer, text in trial.by_layer]),
        "types": each(lambda trial: texts(" ".join(trial.types))),
        "checks": each(lambda trial: [texts(line) for line in trial.invariants]),
        "file": each(lambda trial: int(trial.has_file)),
        "values": [[_short(trial.values[c]) for trial in trials] for c in columns],
        "texts": [[trial.texts[c] for trial in trials] for c in columns],
        "spreads": [[trial.intervals[c] or 0 for trial in trials] for c in columns],
        "probed": _probed(trials),
        "layers": {str(at[number]): _table(table) for number, table in report.layers.items()},
        "axes": [{"title": a.title, "ticks": list(a.options), "values": list(a.values)} for a in report.choices.axes],
    }
    return data | {"words": texts.listed(), "recipe": [_step(step) for step in steps.listed()]}


def _run(report: Report, at: dict[int, int]) -> dict[str, Any]:
    result = report.result
    names = [column.name for column in result.columns]
    blocked = result.nothing_feasible
    nearest = blocked.nearest[0].row if blocked is not None and blocked.nearest else None
    first = result.best or nearest
    return {
        "path": shell(result.record.folder.path),
        "metric": result.metric_name,
        "first": None if first is None else at[first.trial],
        "best": None if result.best is None else at[result.best.trial],
        "front": [at[row.trial] for row in result.front],
        "picks": {name: at[row.trial] for name, row in result.picks.items()},
        "objectives": [
            names.index(objective.measurement) if objective.measurement in names else -1
            for objective in result.record.objectives
        ],
    }


def _short(value: float | None) -> float | None:
    """The value with seven significant digits, which is more than any measurement has."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(f"{value:.7g}")


def _probed(trials: tuple[TrialDetails, ...]) -> dict[str, list[list[float | None]]]:
    """For trials that were stopped after a probe, by column: pairs of the trial's index and the probe's value."""
    found: dict[str, list[list[float | None]]] = {}
    for at, trial in enumerate(trials):
        for column, value in trial.plotted.items():
            found.setdefault(str(column), []).append([at, _short(value)])
    return found


def _step(step: StepDetails) -> list[Any]:
    return [step.name, step.stage, [list(knob) for knob in step.knobs], step.meaning, step.label]


def _table(table: LayerTable) -> dict[str, Any]:
    return {"problem": table.problem, "rows": [_layer(row) for row in table.rows]}


def _layer(row: LayerRow) -> list[Any]:
    """The cells of a layer's row.

    They are name, operator with shape, then precision, sparsity and clusters (each as verified, requested), then bytes
    before and after, then compressed bytes before and after.
    """
    before, wanted = row.before, row.requested
    shape = f" (asked {shape_words(wanted['shape'])})" if wanted.get("shape") else ""
    return [
        row.name,
        f"{kernel_words(row.found.operator, row.found.shape)}{shape}",
        [row.found.precision, wanted.get("weight_type", "")],
        [f"{row.found.sparsity * 100:.1f} %", _percent(wanted.get("sparsity", ""))],
        [str(row.found.clusters), wanted.get("clusters", "")],
        [None if before is None else before.bytes, "" if before is None else size(before.bytes)],
        [row.found.bytes, size(row.found.bytes)],
        [None if before is None else before.compressed, "" if before is None else size(before.compressed)],
        [row.found.compressed, size(row.found.compressed)],
    ]


def _percent(share: str) -> str:
    try:
        return f"{float(share) * 100:.0f} %"
    except ValueError:
        return share
