"""The table: ``trials.csv``, every trial with the columns of the summary's rows, flat."""

import csv
import io
import json
from typing import Any

from litetuner.reports.model.result import Result
from litetuner.reports.model.rows import Row
from litetuner.search.trial import Trial

COUNTS = ("operators", "delegated", "partitions", "quantize", "dequantize")  # of a target's delegate
OF_THE_TRIAL = ("origin", "duplicate_of", "gate", "reason", "waits_for", "seconds_since_start")  # not in its row
FORMULA = ("=", "+", "-", "@", "\t", "\r")
LEADING = ("trial", "label", "state", *OF_THE_TRIAL)


def write_csv(result: Result) -> str:
    """One line a trial; what was not measured is empty.

    ``latency_us`` and the like become a column for each target (``latency_us_host``), an interval two columns
    (``metric_interval_low``, ``_high``), a target's delegate one for each count (``delegates_host_partitions``), its fallback
    as JSON, a knob one (``prune.sparsity``; at a step's second occurrence ``prune2.``).
    """
    lines = [flat_row(result.rows[trial.number], trial) for trial in result.record.trials]
    own = list(dict.fromkeys(name for line in lines for name in line if "." not in name))
    knobs = sorted({name for line in lines for name in line if "." in name})
    columns = [*LEADING, *(name for name in own if name not in LEADING), *knobs]
    text = io.StringIO()  # without pandas, whose import takes as long as all the rest
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _as_text(value) for name, value in line.items()} for line in lines)
    return text.getvalue()


def _as_text(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it. Numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def flat_row(row: Row, trial: Trial) -> dict[str, Any]:
    """The values of a trial by column, each of them a text, a number, a truth value or ``None``."""
    values: dict[str, Any] = {name: getattr(trial, name) for name in OF_THE_TRIAL}
    for name, value in row.to_json().items():
        if isinstance(value, dict):
            for target, item in value.items():
                safe = str(target).replace(".", "_")  # a dot marks a knob
                values |= _flat(name, f"{name}_{safe}", item)
        else:
            values |= _flat(name, name, value)
    return values | knobs_of(trial)


def _flat(name: str, column: str, value: Any) -> dict[str, Any]:
    if "interval" in name:
        low, high = value if value is not None else (None, None)
        return {f"{column}_low": low, f"{column}_high": high}
    if name == "delegates":
        counts = value or {}
        flat = {f"{column}_{count}": counts.get(count) for count in COUNTS}
        return flat | {f"{column}_fallback": json.dumps(counts["fallback"]) if "fallback" in counts else None}
    return {column: value}


def knobs_of(trial: Trial) -> dict[str, Any]:
    """The knobs of a trial's candidate by column; lists as JSON."""
    found: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for step in trial.candidate.to_json():
        name = step["step"]
        seen[name] = seen.get(name, 0) + 1
        stem = name if seen[name] == 1 else f"{name}{seen[name]}"
        for key, value in step.items():
            if key != "step":
                found[f"{stem}.{key}"] = json.dumps(value) if isinstance(value, list | dict) else value
    return found
