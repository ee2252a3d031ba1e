"""The numeric columns of tables: every measurement that any trial has, with its titles."""

import dataclasses
from collections.abc import Sequence

from litetuner.reports.model.rows import metric_name
from litetuner.reports.text.formatting import clean, drop_title
from litetuner.search.runs.record import RunRecord

# Known measurements: (title in a table, title on an axis). Other measurements are shown under their own names.
KNOWN = {
    "metric": ("", ""),  # replaced by the metric's own name
    "drop": ("drop", ""),
    "test_metric": ("test", "metric, test split"),
    "test_drop": ("test drop", ""),
    "compressed_bytes": ("compressed", "compressed size (zlib), bytes"),
    "file_bytes": ("file", "file size, bytes"),
    "latency_us": ("latency", "latency"),
    "latency_ratio": ("speed", "speed relative to the baseline"),
    "flash_bytes": ("flash", "flash, bytes"),
    "sram_bytes": ("SRAM", "SRAM, bytes"),
    "memory_bytes": ("memory", "memory: arena and constants, bytes"),
    "arena_bytes": ("arena", "tensor arena, bytes"),
    "peak_rss_bytes": ("peak memory", "peak memory of a run, above that of an empty runtime, bytes"),
    "macs": ("MACs", "MACs"),
    "energy_uj": ("energy", "energy, µJ"),
    "energy_estimate_uj": ("energy (estimate)", "energy (estimate), µJ"),
}
LARGER_IS_BETTER = ("latency_ratio",)
OF_THE_RUN = ("keras_metric", "conversion_gap")  # shown once for the run (conditions.py), not as a column


@dataclasses.dataclass(frozen=True)
class Column:
    """A column with the measurement ``name``.

    ``title`` is for tables, ``axis`` for charts. ``minimize``: lower is better. ``essential`` columns are shown by
    default: objectives, budgets, metric, accuracy drop, the size that the search minimizes, latency and speed on the
    first target.
    """

    name: str
    title: str
    axis: str
    minimize: bool
    unit: str
    essential: bool


def find_columns(record: RunRecord, targets: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a run, without probes and estimates.

    Known measurements come first in the order of ``KNOWN``, each with its targets in the order of ``targets``. The
    others follow by name.
    """
    units: dict[str, str] = {}
    for trial in record.trials:
        for name, measurement in trial.measurements.items():
            if not name.startswith(("probe.", "untrained.", "estimate.")) and name not in OF_THE_RUN:
                units.setdefault(name, measurement.unit)
    for name in ("metric", "drop", "compressed_bytes", "file_bytes"):
        units.setdefault(name, "")
    order = list(KNOWN)
    targets = list(targets)

    def place(name: str) -> tuple[int, int, str]:
        base, _, target = name.partition(":")
        known = order.index(base) if base in order else len(order)
        if base in ("latency_us", "latency_ratio"):  # latency and speed of a target are adjacent
            known = order.index("latency_us")
        at = targets.index(target) if target in targets else len(targets)
        return known, at, name.replace("latency_ratio", "latency_us~")  # sorts speed after latency

    return tuple(make_column(record, targets, name, units[name]) for name in sorted(units, key=place))


def make_column(record: RunRecord, targets: Sequence[str], name: str, unit: str = "") -> Column:
    base, _, target = name.partition(":")
    plain = clean(base.replace("_", " "), 40)
    title, axis = KNOWN.get(base, (plain, plain + (f", {clean(unit, 12)}" if unit else "")))
    maximized = record.metric.direction == "maximize"
    if base == "metric":
        title, axis = metric_name(record), metric_name(record) + ("" if maximized else ", lower is better")
    if base in ("drop", "test_drop"):
        bounded = record.metric.bounded
        title = title.replace("drop", drop_title(bounded))
        axis = f"{metric_name(record)} {drop_title(bounded)}" + (", test split" if base == "test_drop" else "")
    only = tuple(targets) == ("host",)
    if target and not (only and target == "host"):
        title += f" {clean(target, 24)}"
    if base == "latency_us":
        axis = f"latency on {clean(target, 40)}, µs"
    elif target and base not in KNOWN:
        axis = f"{plain} on {clean(target, 40)}" + (f", {clean(unit, 12)}" if unit else "")
    elif target:
        axis += f" on {clean(target, 40)}"
    estimated = estimate_of(record, name)
    if estimated:
        title, axis = f"{title} (estimate, {estimated})", f"{axis} (estimate)"
    minimize = not (base in LARGER_IS_BETTER or (base in ("metric", "test_metric") and maximized))
    return Column(name, title, axis, minimize, unit, name in _essential(record))


def estimate_of(record: RunRecord, name: str) -> str:
    """The tool that estimated a measurement, such as ``Vela 5.2.0``; empty if it was measured."""
    found = (trial.measurements[name] for trial in record.trials if name in trial.measurements)
    first = next(found, None)
    return "" if first is None else clean(first.environment.get("estimate", ""), 40)


def _essential(record: RunRecord) -> set[str]:
    limited = {objective.measurement for objective in record.objectives}
    limited |= {budget.measurement for budget in record.budgets}
    target = record.config.targets[0]
    first = {record.config.size_measurement, f"latency_us:{target}", f"latency_ratio:{target}"}
    return limited | {"metric", "drop"} | first
