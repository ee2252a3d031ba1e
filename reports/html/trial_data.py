"""The trials as one compact table for the page: every number and text once, from which it makes hovers, details and rows."""

from __future__ import annotations

import functools
import json
import math
from typing import TYPE_CHECKING, Any

from litetuner.reports.model.charts import plotted
from litetuner.reports.model.conditions import flatten
from litetuner.reports.text.formatting import between, clean, plain, shell, size
from litetuner.reports.text.stages import stage_words
from litetuner.reports.text.step_descriptions import step_words
from litetuner.reports.text.trial_kinds import ORDER, kind
from litetuner.search.config.units import format_seconds
from litetuner.search.trial import Trial
from litetuner.spaces.step import Step

if TYPE_CHECKING:
    from litetuner.reports.model.layers import LayerRow, LayerTable
    from litetuner.reports.model.view import View

ROLES = ("stopped", "infeasible", "feasible", "front", "baseline")  # drawn in this order
PROPERTIES = {
    "sparsity": "sparsity",
    "clusters": "clusters",
    "weight_type": "type",
}
MOST_AXES = 9  # of choices, in the parallel coordinates
MOST_SHAPES = 6  # of kernels, in a trial's details; the table of layers has all


class TextTable:
    """Texts by index, each kept once."""

    def __init__(self) -> None:
        self.list: list[str] = []
        self._at: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        if text not in self._at:
            self._at[text] = len(self.list)
            self.list.append(text)
        return self._at[text]


def trial_data(view: View) -> dict[str, Any]:
    """The table as JSON. Lists run in the order of ``record.trials``; ``None`` is what was not measured."""
    words, steps = TextTable(), TextTable()
    trials = view.record.trials
    front = {trial.number for trial in view.front}
    columns = view.columns
    at = {trial.number: index for index, trial in enumerate(trials)}
    best = view.best_trial or (view.blocked.nearest if view.blocked else None)
    data: dict[str, Any] = {
        "run": {
            "path": shell(view.record.folder.path),
            "metric": view.metric_name,
            "first": None if best is None else at[best.number],
            "best": None if view.best_trial is None else at[view.best_trial.number],
            "front": [at[trial.number] for trial in view.front],
            "picks": {name: at[trial.number] for name, trial in view.picks.items()},
            "objectives": [_column(view, o.measurement) for o in view.record.objectives],
        },
        "columns": [{"title": c.title, "axis": c.axis, "less": c.minimize} for c in columns],
        "kinds": list(ORDER),
        "roles": list(ROLES),
        "number": [trial.number for trial in trials],
        "kind": [ORDER.index(kind(trial, front)) for trial in trials],
        "role": [-1 if t.duplicate_of is not None else ROLES.index(view.group(t)) for t in trials],
        "label": [words(clean(trial.candidate.label, 160)) for trial in trials],
        "why": [words(view.why(trial)) for trial in trials],
        "origin": [words(clean(trial.origin, 30)) for trial in trials],
        "since": [words(format_seconds(trial.seconds_since_start)) for trial in trials],
        "seconds": [[[words(name), words(text)] for name, text in stages] for stages in stage_words(trials)],
        "steps": [[steps(_step(step)) for step in trial.candidate.steps] for trial in trials],
        "notes": [[words(clean(n, 300)) for n in dict.fromkeys((*t.candidate.details, *t.notes))] for t in trials],
        "checks": [[words(line) for line in _checks(trial)] for trial in trials],
        "file": [int(trial.artifact is not None) for trial in trials],
        "values": [[_short(trial.value(c.name)) for trial in trials] for c in columns],
        "texts": [[_text(view, trial, c.name) for trial in trials] for c in columns],
        "spreads": [[_spread(trial, c.name) for trial in trials] for c in columns],
        "probed": _probed(view),
        "layers": {str(at[number]): _table(table) for number, table in view.layer_tables.items()},
        "axes": _axes(view),
    }
    return data | {"words": words.list, "recipe": [json.loads(text) for text in steps.list]}


def _column(view: View, measurement: str) -> int:
    return next((at for at, column in enumerate(view.columns) if column.name == measurement), -1)


def _short(value: float | None) -> float | None:
    """Seven digits are more than any measurement has."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else float(f"{value:.7g}")


def _text(view: View, trial: Trial, name: str) -> str | None:
    found = trial.measurements.get(name)
    return None if found is None or not math.isfinite(found.value) else plain(found.value, name, found.unit)


def _spread(trial: Trial, name: str) -> str | int:
    found = trial.measurements.get(name)
    if found is None or found.interval is None or not all(math.isfinite(bound) for bound in found.interval):
        return 0
    return between(found.interval, lambda value: plain(value, name, found.unit))


def _probed(view: View) -> dict[str, list[list[float | None]]]:
    """What the charts show of trials that a probe stopped, by column: their place in the list, and what it measured."""
    found: dict[str, list[list[float | None]]] = {}
    for objective in view.record.objectives:
        column = _column(view, objective.measurement)
        for at, trial in enumerate(view.record.trials):
            if (
                trial.value(objective.measurement) is None
                and (value := plotted(trial, objective.measurement)) is not None
            ):
                found.setdefault(str(column), []).append([at, _short(value)])
    return found


@functools.lru_cache(maxsize=4096)
def _step(step: Step) -> str:
    """A step with its knobs in words, as JSON."""
    knobs = []
    for name, value in step.knobs().items():
        if value is None or value is False or value == ():
            continue
        if isinstance(value, tuple) and all(isinstance(item, tuple) for item in value):
            value = [" ".join(str(part) for part in item) for item in value]
        knobs += [list(pair) for pair in flatten({name: value})]
    label = clean(step.label() or step.name, 80)
    return json.dumps([clean(step.name, 40), step.stage.name.lower(), knobs, step_words(step), label])


def _checks(trial: Trial) -> list[str]:
    """What was asked of the layers and found in the file, a line for each property and wish."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for item in trial.invariants:
        key = (str(item.get("property")), str(item.get("requested")))
        if key[0] != "shape":
            groups.setdefault(key, []).append(item.get("verified"))
    lines = [*_delegates(trial), *_shapes(trial)]
    for (name, asked), found in groups.items():
        numbers = [value for value in found if isinstance(value, int | float)]
        low, high = (f"{bound:.4g}" for bound in (min(numbers), max(numbers))) if numbers else ("", "")
        shown = (
            (low if low == high else f"{low} to {high}")
            if numbers
            else clean(", ".join(sorted(map(str, set(found)))), 80)
        )
        many = f"{len(found)} layer{'s' if len(found) > 1 else ''}"
        lines.append(f"{PROPERTIES.get(name, clean(name, 40))}: asked {clean(asked, 40)} of {many}, found {shown}")
    return lines


def _shapes(trial: Trial) -> list[str]:
    """The kernels that were asked for, each of its own shape, on one line; those found otherwise come first."""
    items = [item for item in trial.invariants if item.get("property") == "shape"]
    if not items:
        return []
    items.sort(key=lambda item: bool(item.get("ok", True)))
    wrong = [item for item in items if not item.get("ok", True)]
    shown = [
        f"{clean(item.get('layer'), 40)} {_times(item.get('requested'))}"
        + ("" if item.get("ok", True) else f" but {_times(item.get('verified'))}")
        for item in items[:MOST_SHAPES]
    ]
    more = f" and {len(items) - MOST_SHAPES} more" if len(items) > MOST_SHAPES else ""
    verdict = f"{len(wrong)} found otherwise" if wrong else "found as asked"
    many = f"{len(items)} layer{'s' if len(items) > 1 else ''}"
    return [f"kernel shapes: asked of {many}, {verdict}: {', '.join(shown)}{more}"]


def _times(shape: Any) -> str:
    """A shape to read: 3×3×16×8; nothing found is a dash."""
    return "–" if shape is None else clean(shape, 40).replace("x", "×")


def _delegates(trial: Trial) -> list[str]:
    """What each target's accelerator took, where that was recorded."""
    lines = []
    for name, measurement in trial.measurements.items():
        found = measurement.extra.get("delegates")
        if name.startswith("latency_us:") and isinstance(found, dict) and found.get("operators"):
            parts = found.get("partitions")
            split = f" in {parts} part{'' if parts == 1 else 's'}" if isinstance(parts, int) else ""
            where = clean(name.partition(":")[2], 40)
            lines.append(f"{where}: {found.get('delegated', 0)} of {found['operators']} operators delegated{split}")
    return lines


def _table(table: LayerTable) -> dict[str, Any]:
    return {"problem": clean(table.problem, 300), "rows": [_layer(row) for row in table.rows]}


def _layer(row: LayerRow) -> list[Any]:
    """name, operator and shape, then precision, zeros, clusters (each found, asked), bytes before and after, compressed both."""
    before = row.before
    return [
        row.name,
        f"{row.operator.lower().replace('_', ' ')} {'×'.join(map(str, row.shape))}" + _asked_shape(row),
        [row.found.precision, row.asked.get("weight_type", "")],
        [f"{row.found.sparsity * 100:.1f} %", _percent(row.asked.get("sparsity", ""))],
        [str(row.found.clusters), row.asked.get("clusters", "")],
        [None if before is None else before.bytes, "" if before is None else size(before.bytes)],
        [row.found.bytes, size(row.found.bytes)],
        [None if before is None else before.compressed, "" if before is None else size(before.compressed)],
        [row.found.compressed, size(row.found.compressed)],
    ]


def _asked_shape(row: LayerRow) -> str:
    asked = row.asked.get("shape")
    return f" (asked {_times(asked)})" if asked else ""


def _percent(asked: str) -> str:
    try:
        return f"{float(asked) * 100:.0f} %"
    except ValueError:
        return asked


def _axes(view: View) -> list[dict[str, Any]]:
    """The axes of the parallel coordinates: first the choices that matter most, then the objectives (by column)."""
    options: dict[str, dict[str, Any]] = {}
    for trial in view.record.trials:
        for name, entry in trial.params.items():
            options.setdefault(name, {}).setdefault(str(entry.get("chosen")), entry.get("chosen"))
    varied = {name: found for name, found in options.items() if len(found) > 1}
    rank = list(view.importances[0].shares) if view.importances else []
    names = sorted(varied, key=lambda n: (rank.index(n) if n in rank else len(rank), -len(varied[n]), n))[:MOST_AXES]
    axes: list[dict[str, Any]] = []
    for name in names:
        found = varied[name]
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in found.values())
        order = _order(view, name)
        ticks = sorted(found, key=lambda text: (found[text] if numeric else order.get(text, len(order)), text))
        place = {text: at for at, text in enumerate(ticks)}
        values = [
            place.get(str(trial.params[name].get("chosen"))) if name in trial.params else None
            for trial in view.record.trials
        ]
        shown = [clean(text, 24) for text in ticks]
        axes.append({"title": clean(name, 40), "ticks": shown, "values": values})
    return axes


def _order(view: View, name: str) -> dict[str, int]:
    """The options of an unordered choice in the order in which the space offers them (``no`` first)."""
    entry = next(trial.params[name] for trial in view.record.trials if name in trial.params)
    try:
        options = json.loads(entry.get("distribution") or "{}")["attributes"]["choices"]
    except (ValueError, KeyError, TypeError):  # a numeric one, or written by something else
        return {}
    if not isinstance(options, list):
        return {}
    return {str(option): at for at, option in enumerate(options)}
