"""The invariants of a trial as text: the properties that were requested for layers, and those verified in the file."""

from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.reports.text.formatting import clean
from litetuner.search.trial import Trial

PROPERTIES = {
    "sparsity": "sparsity",
    "clusters": "distinct weights per channel",
    "weight_type": "weight type",
}
MOST_SHAPES = 6  # kernel shapes on one line; the table of layers shows all


def value_words(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else clean(value, 80)


def shape_words(shape: Any) -> str:
    """A shape as text, such as 3×3×16×8."""
    return "–" if shape is None else clean(shape, 40).replace("x", "×")


def invariant_lines(trial: Trial) -> list[str]:
    """A line for each target's delegate, one for all kernel shapes, one for each other property and requested value."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for item in trial.invariants:
        key = (str(item.get("property")), str(item.get("requested")))
        if key[0] != "shape":
            groups.setdefault(key, []).append(item.get("verified"))
    lines = [*_delegates(trial), *_shapes(trial.invariants)]
    for (name, wanted), found in groups.items():
        title = PROPERTIES.get(name, clean(name, 40))
        lines.append(f"{title}: requested {clean(wanted, 40)} for {_layers(len(found))}, verified {_range(found)}")
    return lines


def _range(values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, int | float)]
    if not numbers:
        return clean(", ".join(sorted(map(str, set(values)))), 80)
    low, high = f"{min(numbers):.4g}", f"{max(numbers):.4g}"
    return low if low == high else f"{low} to {high}"


def _shapes(invariants: Sequence[Mapping[str, Any]]) -> list[str]:
    """The requested kernel shapes on one line; those that were not met come first."""
    items = [item for item in invariants if item.get("property") == "shape"]
    if not items:
        return []
    items.sort(key=lambda item: bool(item.get("ok", True)))
    wrong = sum(not item.get("ok", True) for item in items)
    shown = [
        f"{clean(item.get('layer'), 40)} {shape_words(item.get('requested'))}"
        + ("" if item.get("ok", True) else f" (verified {shape_words(item.get('verified'))})")
        for item in items[:MOST_SHAPES]
    ]
    more = f" and {len(items) - MOST_SHAPES} more" if len(items) > MOST_SHAPES else ""
    verdict = f"{wrong} different" if wrong else "all verified"
    return [f"kernel shapes: requested for {_layers(len(items))}, {verdict}: {', '.join(shown)}{more}"]


def _layers(count: int) -> str:
    return f"{count} layer{'' if count == 1 else 's'}"


def _delegates(trial: Trial) -> list[str]:
    """The number of operators that run on each target's delegate, for targets where this was recorded."""
    lines = []
    for name, measurement in trial.measurements.items():
        found = measurement.extra.get("delegates")
        if name.startswith("latency_us:") and isinstance(found, dict) and found.get("operators"):
            parts = found.get("partitions")
            split = f" in {parts} part{'' if parts == 1 else 's'}" if isinstance(parts, int) else ""
            target = clean(name.partition(":")[2], 40)
            lines.append(f"{target}: {found.get('delegated', 0)} of {found['operators']} operators delegated{split}")
    return lines
