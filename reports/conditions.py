"""The conditions of the numbers: where and how each one was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.reports.words import between, clean, plain
from litetuner.search.trial import Trial

TITLES = {
    "metric": "metric, search split",
    "drop": "loss, search split",
    "test_metric": "metric, test split",
    "test_drop": "loss, test split",
    "file_bytes": "file size",
    "deflated_bytes": "deflated size",
    "latency_us": "latency",
    "latency_ratio": "speed against the baseline",
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """One measurement: its value and interval in words, the number of raw samples, and its environment as (name, value)."""

    title: str
    value: str
    interval: str
    samples: int
    environment: tuple[tuple[str, str], ...]


def find_conditions(trial: Trial) -> tuple[Condition, ...]:
    """One for each measurement of a trial, the known ones first."""
    order = list(TITLES)
    names = sorted(trial.measurements, key=lambda n: (order.index(b) if (b := n.partition(":")[0]) in order else 99, n))
    return tuple(_condition(name, trial.measurements[name]) for name in names)


def _condition(name: str, found: Measurement) -> Condition:
    base, _, target = name.partition(":")
    title = TITLES.get(base, base) + (f" on {clean(target, 40)}" if target else "")
    return Condition(
        title=title,
        value=plain(found.value, name) if base in TITLES else f"{found.value:.6g} {clean(found.unit, 20)}",
        interval=between(found.interval, lambda value: plain(value, name)),
        samples=len(found.samples),
        environment=tuple(flatten({**found.environment, **found.extra})),
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested JSON object as (name, value) in words: ``{"cpu": {"model": "x"}}`` gives ``("cpu model", "x")``."""
    for name, value in values.items():
        title = f"{prefix}{clean(str(name).replace('_', ' '), 60)}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{title} ")
        elif isinstance(value, list | tuple):
            shown = ", ".join(clean(item, 60) for item in value[:12]) + (" …" if len(value) > 12 else "")
            yield title, shown or "none"
        elif isinstance(value, bool):
            yield title, "yes" if value else "no"
        elif value is not None:
            yield title, f"{value:.6g}" if isinstance(value, float) else clean(value, 200)
