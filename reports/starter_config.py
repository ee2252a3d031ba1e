"""The starter configuration: a TOML file with every key and its help, adapted to a model and its data."""

import math
import textwrap
from typing import Any

import tomlkit

from litetuner.reports.text.formatting import clean, latency, number, size
from litetuner.search.config.config import Config, keys
from litetuner.search.config.units import format_seconds
from litetuner.search.evaluation.preview import Cost, Preview
from litetuner.search.runtime.machine import parallel_trials

GROUPS = {
    "What is compressed": ("model", "data", "preprocess", "trust-model", "out"),
    "What is optimized": ("metric", "task", "threshold", "size", "target", "objective", "threads", "profile"),
    "Budgets": (
        *("max-drop", "min-metric", "max-compressed-size", "max-size", "max-latency", "max-memory"),
        *("max-sram", "max-flash"),
    ),
    "How long": ("time-budget", "trials", "max-epochs", "parallel"),
}
OF_THE_COMMAND = ("json", "debug", "executor")  # keys that belong to the command, so they are left out
EXAMPLES: dict[str, Any] = {  # examples for keys without a default
    "preprocess": "module:function",
    "out": "runs/mine",
    "min-metric": 0.85,
    "max-size": "300kB",
    "max-latency": ["2ms"],
    "max-memory": "256kB",
    "max-sram": ["64kB"],
    "max-flash": ["60kB"],
    "trials": 50,
    "max-epochs": 1.0,
}
SMALLER = 0.8  # the suggested size budget relative to plain int8, because a search should find a smaller file
SLACK = 1.02  # the suggested latency budget relative to plain int8, which allows for the noise of two timings
LEAST_MINUTES, MOST_MINUTES = 30, 480
EPOCHS_IN_A_BUDGET = 24  # the longest training of one step may use 1 / 24 of the time budget
WIDTH = 110


def starter_toml(look: Preview) -> str:
    """The text of the TOML file. Suggested keys are set; all other keys are comments with their defaults."""
    suggested = suggestions(look)
    lines = [*_head(look), ""]
    fields = {key: Config.model_fields[name] for key, name in keys().items() if key not in OF_THE_COMMAND}
    if not any("sram_bytes" in named.target.budgets for named in look.config.named_targets):
        del fields["max-sram"]  # no target reports SRAM
    grouped = [key for group in GROUPS.values() for key in group]
    groups = GROUPS | {"Everything else": tuple(key for key in fields if key not in grouped)}
    for title, names in groups.items():
        lines += [f"# --- {title} ---", ""]
        for key in names:
            if key in fields:
                lines += [*_comment(fields[key].description or ""), _setting(key, fields[key], suggested), ""]
    return "\n".join(lines).rstrip() + "\n"


def suggestions(look: Preview) -> dict[str, Any]:
    config, int8 = look.config, look.int8
    found: dict[str, Any] = _given(config) | {"model": config.model, "data": config.data, "metric": config.metric}
    cost = int8 or look.baseline
    size_budget = _rounded((SMALLER if int8 else 0.5) * cost.compressed_bytes, "MB", "kB", "B")
    suggested: dict[str, Any] = {"max-drop": "1%", "max-compressed-size": size_budget}
    # The latency of plain int8 or of the baseline, whichever is lower.
    known = [] if look.baseline.latency_us is None else [look.baseline.latency_us]
    if int8 is not None and int8.latency_us is not None:
        known.append(int8.latency_us * SLACK)
    if known:
        suggested["max-latency"] = _rounded(min(known), "s", "ms", "us")
    if (parallel := parallel_trials()) > 1:
        suggested["parallel"] = parallel
    suggested["time-budget"] = f"{_minutes(look.inspection.seconds_per_epoch)}m"
    return suggested | found


def _given(config: Config) -> dict[str, Any]:
    """The keys whose value differs from the default, with values for TOML."""
    values = {key: (getattr(config, name), Config.model_fields[name].default) for key, name in keys().items()}
    found = {key: value for key, (value, default) in values.items() if value != default}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def warning(look: Preview) -> str | None:
    """Why the baseline may not be what the user expects; ``None`` if there are no doubts."""
    return " ".join(look.inspection.doubts) or None


def _head(look: Preview) -> list[str]:
    model, data = look.inspection.model, look.inspection.data
    counts = ", ".join(f"{count:,} {split}" for split, count in data.counts.items())
    epoch = look.inspection.seconds_per_epoch
    lines = [
        f"# litetuner search of {clean(model.name, 60)}: {model.parameters:,} parameters; {counts} samples.",
        "# Start it with:  litetuner search THIS_FILE   (flags override the values in this file)",
        "#",
        f"# baseline  {_costs(look.baseline)}; {look.config.metric} {number(look.metric)} on {look.samples:,} samples",
    ]
    if look.int8 is not None:
        lines.append(f"# int8      {_costs(look.int8)}; post-training only: a search should be better")
    if epoch is not None:
        lines.append(f"# training  {format_seconds(max(epoch, 0.1))} per epoch on this machine")
    if data.decision is not None:
        lines += _comment(f"task      {clean(data.decision.words, 200)}")
    if model.bridge_refusal:
        lines += _comment(f"Post-training techniques only: {clean(model.bridge_refusal, 300)}")
    said = warning(look)
    return lines + (_comment(f"WARNING: {said}") if said else [])


def _costs(cost: Cost) -> str:
    timed = "not timed" if cost.latency_us is None else latency(cost.latency_us)
    return f"{size(cost.compressed_bytes)} compressed, {size(cost.file_bytes)} file, {timed}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(clean(text, 1000), WIDTH - 2)]


def _setting(key: str, field: Any, suggested: dict[str, Any]) -> str:
    """A line ``key = value``; it is a comment if no value is suggested for the key."""
    if key in suggested:
        return f"{key} = {tomlkit.item(suggested[key]).as_string()}"
    default = EXAMPLES.get(key, field.default)
    shown = "..." if default is None else default
    return f"# {key} = {tomlkit.item(list(shown) if isinstance(shown, tuple) else shown).as_string()}"


def _rounded(value: float, large: str, middle: str, small: str) -> str:
    """The value rounded up to two digits, in one of three units with factors of 1000 between them, such as 64kB."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1) if value > 0 else 1.0
    rounded = round(math.ceil(round(value / step, 6)) * step, 6)
    for unit, scale in ((large, 1e6), (middle, 1e3)):
        if rounded >= scale:
            return f"{rounded / scale:g}{unit}"
    return f"{rounded:g}{small}"


def _minutes(seconds_per_epoch: float | None) -> int:
    """A time budget in minutes, a multiple of ten, in which one step can train for about one epoch."""
    wanted = EPOCHS_IN_A_BUDGET * (seconds_per_epoch or 0.0) / 60
    return max(LEAST_MINUTES, min(MOST_MINUTES, math.ceil(wanted / 10) * 10))
