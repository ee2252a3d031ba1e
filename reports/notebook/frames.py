"""Trials as a pandas DataFrame: the columns of ``trials.csv`` with data types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litetuner.reports.files.trials_csv import COUNTS, flat_row
from litetuner.reports.model.result import Result

if TYPE_CHECKING:
    import pandas

# Important columns come first, because a notebook hides the middle columns of a wide table.
FIRST = (
    "trial",
    "label",
    "picks",
    "metric",
    "drop",
    "compressed_bytes",
    "file_bytes",
)
WHOLE = ("trial", "duplicate_of", "macs")
TEXTS = ("label", "state", "origin", "gate", "reason", "waits_for", "artifact", "sha256", "picks")
TEXTS_OF_TARGETS = ("latency_from", "delegates")


def trials_frame(result: Result) -> pandas.DataFrame:
    """A row for each trial, in order.

    Numbers are ``float64`` (bytes, counts and trial numbers ``Int64``), texts ``string``. ``front`` is true if the
    trial is on the Pareto front of the first target. ``picks`` are its pick names. Values that were not measured are
    missing. Knobs are columns such as ``prune.sparsity``, with the type of their values.
    """
    import pandas

    front, picks = {row.trial for row in result.front}, result.pick_names
    lines = []
    for trial in result.record.trials:
        values = flat_row(result.rows[trial.number], trial)
        own = {"front": trial.number in front, "picks": ", ".join(picks.get(trial.number, [])) or None}
        lines.append(own | values)
    frame = pandas.DataFrame(lines)
    if frame.empty:
        return frame
    first = [*FIRST, *(name for name in frame.columns if str(name).startswith("latency_us_"))]
    names = list(dict.fromkeys(name for name in (*first, *map(str, frame.columns)) if name in frame.columns))
    plain, knobs = [name for name in names if "." not in name], sorted(name for name in names if "." in name)
    typed = frame[plain].astype({name: _type(name) for name in plain})
    given = {name: {type(line[name]) for line in lines if line.get(name) is not None} for name in knobs}
    return pandas.concat([typed, frame[knobs].astype({name: _knob_type(given[name]) for name in knobs})], axis=1)


def front_frame(result: Result) -> pandas.DataFrame:
    """The rows of the Pareto front, the best metric first."""
    frame = trials_frame(result)
    if frame.empty:
        return frame
    order = [row.trial for row in result.front]
    return frame.set_index("trial").loc[order].reset_index()


def _type(name: str) -> str:
    if name == "front":
        return "bool"
    if name in TEXTS or (name.startswith(TEXTS_OF_TARGETS) and not name.endswith(COUNTS)):
        return "string"
    whole = name in WHOLE or name.endswith("_bytes") or "_bytes_" in name or name.endswith(COUNTS)
    return "Int64" if whole else "float64"


def _knob_type(given: set[type]) -> str:
    """The narrowest type that holds all values of a knob."""
    known = ({bool}, "boolean"), ({int}, "Int64"), ({int, float}, "float64")
    return next((name for kinds, name in known if given <= kinds), "string")
