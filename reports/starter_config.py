"""The first configuration: a TOML with every key and its help, fitted to a model and its data."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from litetuner.reports.text.formatting import clean, latency, number, size
from litetuner.search.config.config import Config, keys
from litetuner.search.config.units import format_seconds
from litetuner.search.evaluation.preview import Cost, Preview

GROUPS = {
    "What is compressed": ("model", "data", "preprocess", "trust-model", "out"),
    "What counts": ("metric", "size", "target", "objective", "threads", "profile"),
    "Budgets": ("max-drop", "min-metric", "max-compressed-size", "max-size", "max-latency", "max-memory"),
    "How long": ("time-budget", "trials", "max-epochs"),
}
OF_THE_COMMAND = ("json", "debug", "executor")  # they belong to a call, not to a search
EXAMPLES: dict[str, Any] = {  # where there is no default
    "preprocess": "module:function",
    "out": "runs/mine",
    "min-metric": 0.85,
    "max-size": "300kB",
    "max-latency": ["2ms"],
    "max-memory": "256kB",
    "trials": 50,
    "max-epochs": 1.0,
}
SMALLER = 0.8  # of plain int8's compressed size: what a search should beat
SLACK = 1.02  # on the latency of plain int8: no slower than that, but for the noise of two timings
LEAST_MINUTES, MOST_MINUTES = 30, 480
EPOCHS_IN_A_BUDGET = 24  # the longest training of one step gets this part of the time budget
WIDTH = 110


def starter_toml(look: Preview) -> str:
    """The TOML. Keys that are suggested are set, all others stand there as comments with their defaults."""
    suggested = suggestions(look)
    lines = [*_head(look), ""]
    fields = {key: Config.model_fields[name] for key, name in keys().items() if key not in OF_THE_COMMAND}
    grouped = [key for group in GROUPS.values() for key in group]
    groups = GROUPS | {"Everything else": tuple(key for key in fields if key not in grouped)}
    for title, names in groups.items():
        lines += [f"# --- {title} ---", ""]
        for key in names:
            if key in fields:
                lines += [*_comment(fields[key].description or ""), _setting(key, fields[key], suggested), ""]
    return "\n".join(lines).rstrip() + "\n"


def suggestions(look: Preview) -> dict[str, Any]:
    """The keys that are set, with their values."""
    config, int8 = look.config, look.int8
    found: dict[str, Any] = {"model": config.model, "data": config.data, "metric": config.metric}
    found |= {key: getattr(config, key) for key in ("preprocess",) if getattr(config, key) is not None}
    if config.trust_model:
        found["trust-model"] = True
    if list(config.target) != ["host"]:
        found["target"] = list(config.target)
    cost = int8 or look.original
    found["max-drop"] = "1%"
    found["max-compressed-size"] = _bytes((SMALLER if int8 else 0.5) * cost.compressed_bytes)
    quick = _quickest(look)
    if quick is not None:
        found["max-latency"] = _time(quick)
    found["time-budget"] = f"{_minutes(look.inspection.seconds_per_epoch)}m"
    return found


def warning(look: Preview) -> str | None:
    """What the metric of the original says of model and data that do not fit together."""
    metric, classes = look.inspection.metric, look.inspection.data.classes
    if metric.name in ("accuracy", "balanced-accuracy") and classes and look.metric < 1.5 / classes:
        return (
            f"The original's {metric.name} is {number(look.metric)}, hardly more than guessing among {classes} classes: do the "
            "data need --preprocess, or are the labels in another order?"
        )
    return None


def _quickest(look: Preview) -> float | None:
    """The latency to allow: that of plain int8 or of the original, whichever is less."""
    known = [value for value in (look.original.latency_us,) if value is not None]
    if look.int8 is not None and look.int8.latency_us is not None:
        known.append(look.int8.latency_us * SLACK)
    return min(known, default=None)


def _head(look: Preview) -> list[str]:
    model, data = look.inspection.model, look.inspection.data
    counts = ", ".join(f"{count:,} {split}" for split, count in data.counts.items())
    epoch = look.inspection.seconds_per_epoch
    lines = [
        f"# litetuner search of {clean(model.name, 60)}: {model.parameters:,} parameters; {counts} samples.",
        "# Start it with:  litetuner search THIS_FILE   (flags win over what stands here)",
        "#",
        f"# original  {_costs(look.original)}; {look.config.metric} {number(look.metric)} on {look.samples:,} samples",
    ]
    if look.int8 is not None:
        lines.append(f"# int8      {_costs(look.int8)}; nothing trained: a search should beat it")
    if epoch is not None:
        lines.append(f"# training  {format_seconds(max(epoch, 0.1))} an epoch on this machine")
    if model.bridge_refusal:
        lines += _comment(f"Only post-training techniques: {clean(model.bridge_refusal, 300)}")
    said = warning(look)
    return lines + (_comment(f"WARNING: {said}") if said else [])


def _costs(cost: Cost) -> str:
    timed = "not timed" if cost.latency_us is None else latency(cost.latency_us)
    return f"{size(cost.compressed_bytes)} compressed, {size(cost.file_bytes)} file, {timed}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(clean(text, 1000), WIDTH - 2)]


def _setting(key: str, field: Any, suggested: dict[str, Any]) -> str:
    """A line ``key = value``; one that is not suggested is a comment."""
    if key in suggested:
        return f"{key} = {_toml(suggested[key])}"
    default = EXAMPLES.get(key, field.default)
    shown = "..." if default is None else default
    return f"# {key} = {_toml(list(shown) if isinstance(shown, tuple) else shown)}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in text) + '"'


def _bytes(value: float) -> str:
    """Two digits and a unit, such as 64kB."""
    rounded = _two_digits(value)
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if rounded >= scale:
            return f"{rounded / scale:g}{unit}"
    return f"{rounded:g}B"


def _time(microseconds: float) -> str:
    rounded = _two_digits(microseconds)
    for unit, scale in (("s", 1e6), ("ms", 1e3)):
        if rounded >= scale:
            return f"{rounded / scale:g}{unit}"
    return f"{rounded:g}us"


def _two_digits(value: float) -> float:
    """Rounded up to two digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1) if value > 0 else 1.0
    return round(math.ceil(round(value / step, 6)) * step, 6)


def _minutes(seconds_per_epoch: float | None) -> int:
    """Time in which one step may train for about an epoch, in tens of minutes."""
    wanted = EPOCHS_IN_A_BUDGET * (seconds_per_epoch or 0.0) / 60
    return max(LEAST_MINUTES, min(MOST_MINUTES, math.ceil(wanted / 10) * 10))
