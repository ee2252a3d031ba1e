"""The summary: ``summary.json``, a contract for programs (``search --json`` prints it)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from litetuner.reports.files.plain_json import finite
from litetuner.reports.model.view import View

if TYPE_CHECKING:
    from litetuner.search.runs.record import RunRecord

SCHEMA_VERSION = 1
SECONDS = ("train", "convert", "score", "time", "other", "wall")


def summary(record: RunRecord) -> dict[str, Any]:
    """The summary of a run as a JSON object. What is not known is ``None``."""
    return summarize(View(record))


def summarize(view: View) -> dict[str, Any]:
    """The summary of a view that is there already."""
    record = view.record
    found = {
        "schema_version": SCHEMA_VERSION,
        "run": str(record.folder.path),
        "model": record.model.name,
        "metric": {"name": record.metric.name, "direction": record.metric.direction},
        "objectives": [dataclasses.asdict(objective) for objective in record.objectives],
        "budgets": [{"name": budget.name, **dataclasses.asdict(budget)} for budget in record.budgets],
        "baseline": None if view.baseline is None else view.baseline.to_json(),
        "conversion": None if view.conversion is None else view.conversion.to_json(),
        "best": None if view.best is None else view.best.to_json(),
        "picks": {name: view.row(trial).to_json() for name, trial in view.picks.items()},
        "front": [view.row(trial).to_json() for trial in view.front],
        "fronts": {target: [trial.number for trial in own] for target, own in record.fronts.items()},
        "counts": record.counts,
        "seconds": {name: record.seconds.get(name) for name in SECONDS}
        | {name: value for name, value in record.seconds.items() if name not in SECONDS},
        "environment": record.environment,
    }
    return dict(finite(found))
