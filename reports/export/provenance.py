"""The provenance of an exported file, as JSON: everything needed to evaluate its numbers and to reproduce it."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
from typing import Any

from litetuner.reports.model.rows import finite, finite_value
from litetuner.search.config.config import keys
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial
from litetuner.spaces.jobs.record import encode

SCHEMA_VERSION = 1


def provenance(record: RunRecord, trial: Trial, files: dict[str, bytes]) -> dict[str, Any]:
    """The content of ``provenance.json`` for a trial; ``files`` are the contents of the exported files by name.

    ``litetuner rebuild`` uses ``configuration`` and ``inputs``. ``measurements`` and ``baseline`` hold the raw samples
    and the environment of every number. ``files`` and ``measured_sha256`` show whether the exported file is the
    measured one.
    """
    found = {
        "schema_version": SCHEMA_VERSION,
        "litetuner": importlib.metadata.version("litetuner"),
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "run": record.folder.path.name,
        "trial": trial.number,
        "label": trial.candidate.label,
        "measured_sha256": trial.sha256,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
        "seed": {"run": record.config.seed, "training": trial.seed},
        "inputs": _inputs(record),
        "configuration": {
            key: encode(value) for key, name in keys().items() if (value := getattr(record.config, name)) is not None
        },
        "budgets": [{"name": budget.name, **dataclasses.asdict(budget)} for budget in record.budgets],
        "measurements": {name: value.to_json() for name, value in trial.measurements.items()},
        "baseline": _baseline(record),
        "environment": record.environment,
    }
    return dict(finite(found))


def short(record: RunRecord, trial: Trial) -> dict[str, Any]:
    """The provenance for the metadata buffer inside a file, a few hundred bytes long."""
    found = {
        "litetuner": importlib.metadata.version("litetuner"),
        "recipe": trial.candidate.label,
        "run": record.folder.path.name,
        "trial": trial.number,
        "seed": record.config.seed,
        "model_sha256": record.model.sha256,
        "data_sha256": record.data.sha256,
        "measured_sha256": trial.sha256,
    }
    scores = {"search": finite_value(trial, "metric"), "test": finite_value(trial, "test_metric")}
    return dict(finite(found | {"metric": {"name": record.metric.name} | scores}))


def _inputs(record: RunRecord) -> dict[str, Any]:
    identity = record.folder.read("identity") or {}
    model, data = record.model, record.data
    known = {"source": record.config.model, "name": model.name, "content": identity.get("model_content")}
    source = {"source": record.config.data, "content": identity.get("data_content"), "sha256": data.sha256}
    return {
        "model": known | {"sha256": model.sha256, "parameters": model.parameters},
        "data": source | {"samples": data.counts, "notes": list(data.notes)},
    }


def _baseline(record: RunRecord) -> dict[str, Any] | None:
    found = record.baseline
    if found is None:
        return None
    measurements = {name: value.to_json() for name, value in found.measurements.items()}
    return {"label": found.candidate.label, "sha256": found.sha256, "measurements": measurements}
