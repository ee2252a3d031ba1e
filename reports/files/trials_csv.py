"""``trials.csv``: one line for each trial, with the fields of the rows in ``summary.json`` as flat columns."""

import csv
import io
import json
from typing import Any

from litetuner.reports.model.result import Result
from litetuner.reports.model.rows import Row
from litetuner.search.trial import Trial

COUNTS = ("operators", "delegated", "partitions", "quantize", "dequantize")  # counts in a row's ``delegates``
# Columns that come from the trial, because its row does not have them.
OF_THE_TRIAL = ("origin", "duplicate_of", "gate", "reason", "waits_for", "seconds_since_start")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet reads a text that starts with one of these as a formula
LEADING = ("trial", "label", "state", *OF_THE_TRIAL)


def write_csv(result: Result) -> str:
    """The text of ``trials.csv``: one line for each trial. Values that were not measured are empty.

    Fields such as ``latency_us`` become one column for each target (``latency_us_host``). An interval becomes two
    columns (``metric_interval_low``, ``_high``). The delegate of a target becomes one column for each count
    (``delegates_host_partitions``) and one for the fallback as JSON. A knob becomes one column (``prune.sparsity``; if
    the step occurs a second time, its prefix is ``prune2.``).
    """
    lines = [flat_row(result.rows[trial.number], trial) for trial in result.record.trials]
    own = list(dict.fromkeys(name for line in lines for name in line if "." not in name))
    knobs = sorted({name for line in lines for name in line if "." in name})
    columns = [*LEADING, *(name for name in own if name not in LEADING), *knobs]
    text = io.StringIO()  # pandas is not used: its import would take as long as all the rest
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _as_text(value) for name, value in line.items()} for line in lines)
    return text.getvalue()


def _as_text(value: Any) -> Any:
    """The value; a text that a spreadsheet would read as a formula gets an apostrophe in front.

    Numbers stay numbers.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def flat_row(row: Row, trial: Trial) -> dict[str, Any]:
    """The values of a trial by column. Each value is a text, a number, a boolean or ``None``."""
    values: dict[str, Any] = {name: getattr(trial, name) for name in OF_THE_TRIAL}
    for name, value in row.to_json().items():
        if isinstance(value, dict):
            for target, item in value.items():
                safe = str(target).replace(".", "_")  # only columns of knobs have a dot in their name
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
    """The knobs of a trial's candidate by column. Lists and dictionaries are written as JSON."""
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
