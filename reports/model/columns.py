"""The columns of numbers: every measurement that any trial has, with its title and how it is written."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from litetuner.reports.text.formatting import clean

if TYPE_CHECKING:
    from litetuner.reports.model.view import View

# What is known by name: title in a table, title on an axis. Others are shown under their own names.
KNOWN = {
    "metric": ("", ""),  # the metric's own name
    "drop": ("loss", "loss"),
    "test_metric": ("test", "metric, test split"),
    "test_drop": ("test loss", "loss, test split"),
    "compressed_bytes": ("compressed", "size, compressed bytes"),
    "file_bytes": ("file", "size, file bytes"),
    "latency_us": ("latency", "latency"),
    "latency_ratio": ("speed", "speed against the baseline"),
    "memory_bytes": ("memory", "memory: arena and constants, bytes"),
    "arena_bytes": ("arena", "tensor arena, bytes"),
    "peak_rss_bytes": ("peak memory", "peak memory of the process, bytes"),
    "macs": ("multiply-adds", "multiply-adds"),
    "energy_uj": ("energy", "energy, µJ"),
    "energy_estimate_uj": ("energy (estimate)", "energy, an estimate, µJ"),
}
LARGER_IS_BETTER = ("latency_ratio",)
OF_THE_RUN = ("keras_metric", "conversion_gap")  # told once (conversion.py), no column of trials


@dataclasses.dataclass(frozen=True)
class Column:
    """A measurement by name. ``minimize``: is less better? ``unit`` is the measurements' own."""

    name: str
    title: str
    axis: str
    minimize: bool
    unit: str


def find_columns(view: View) -> tuple[Column, ...]:
    """The known ones in a fixed order, targets in the order of the configuration, then others by name. Probes are left out."""
    units: dict[str, str] = {}
    for trial in view.record.trials:
        for name, measurement in trial.measurements.items():
            if not name.startswith(("probe.", "untrained.")) and name not in OF_THE_RUN:
                units.setdefault(name, measurement.unit)
    for name in ("metric", "drop", "compressed_bytes", "file_bytes"):
        units.setdefault(name, "")
    order = list(KNOWN)
    targets = list(view.targets)

    def place(name: str) -> tuple[int, int, str]:
        base, _, target = name.partition(":")
        known = order.index(base) if base in order else len(order)
        if base in ("latency_us", "latency_ratio"):  # each target's two beside each other
            known = order.index("latency_us")
        return known, targets.index(target) if target in targets else len(targets), _last(name)

    return tuple(make_column(view, name, units[name]) for name in sorted(units, key=place))


def _last(name: str) -> str:
    return name.replace("latency_ratio", "latency_us~")  # speed follows latency


def make_column(view: View, name: str, unit: str = "") -> Column:
    """The column of a measurement."""
    base, _, target = name.partition(":")
    plain = clean(base.replace("_", " "), 40)
    title, axis = KNOWN.get(base, (plain, plain + (f", {clean(unit, 12)}" if unit else "")))
    maximized = view.record.metric.direction == "maximize"
    if base == "metric":
        title, axis = view.metric_name, view.metric_name + ("" if maximized else ", less is better")
    only = view.targets == ("host",)
    if target and not (only and target == "host"):
        title += f" {clean(target, 24)}"
    if base == "latency_us":
        axis = f"latency on {clean(target, 40)}, µs"
    elif target and base not in KNOWN:
        axis = f"{plain} on {clean(target, 40)}" + (f", {clean(unit, 12)}" if unit else "")
    elif target:
        axis += f" on {clean(target, 40)}"
    minimize = not (base in LARGER_IS_BETTER or (base in ("metric", "test_metric") and maximized))
    return Column(name, title, axis, minimize, unit)
