"""``summary.json``, with a stable schema for programs. ``search --json`` prints the same document."""

import dataclasses
from typing import Any

from litetuner.reports.model.result import Result, build_result
from litetuner.reports.model.rows import finite
from litetuner.search.runs.record import RunRecord

SCHEMA_VERSION = 1
SECONDS = ("train", "convert", "score", "time", "other", "wall")


def summary(record: RunRecord) -> dict[str, Any]:
    """The summary of a run as a JSON object. Unknown values are ``None``."""
    return summarize(build_result(record))


def summarize(result: Result) -> dict[str, Any]:
    """The summary of a result that has been built before."""
    record = result.record
    found = {
        "schema_version": SCHEMA_VERSION,
        "run": str(record.folder.path),
        "model": record.model.name,
        "metric": {"name": record.metric.name, "direction": record.metric.direction},
        "objectives": [dataclasses.asdict(objective) for objective in record.objectives],
        "budgets": [{"name": budget.name, **dataclasses.asdict(budget)} for budget in record.budgets],
        "budget_checks": [dataclasses.asdict(check) for check in result.checks],
        "baseline": None if result.baseline is None else result.baseline.to_json(),
        "conversion": None if result.conversion is None else result.conversion.to_json(),
        "best": None if result.best is None else result.best.to_json(),
        "picks": {name: row.to_json() for name, row in result.picks.items()},
        "front": [row.to_json() for row in result.front],
        "fronts": {target: list(own) for target, own in result.fronts.items()},
        "counts": record.counts,
        "seconds": {name: record.seconds.get(name) for name in SECONDS}
        | {name: value for name, value in record.seconds.items() if name not in SECONDS},
        "environment": record.environment,
    }
    return dict(finite(found))
