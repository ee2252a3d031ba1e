"""The conditions of the numbers: where and how each one was measured."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.reports.text.formatting import between, clean, plain
from litetuner.search.trial import Trial

TITLES = {
    "metric": "metric, search split",
    "drop": "loss, search split",
    "test_metric": "metric, test split",
    "test_drop": "loss, test split",
    "file_bytes": "file size",
    "compressed_bytes": "compressed size",
    "latency_us": "latency",
    "latency_ratio": "speed against the baseline",
    "keras_metric": "metric of the Keras model",
    "conversion_gap": "loss of the conversion alone",
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """One measurement: its value and interval in words, the raw samples, and its environment as (name, value).

    ``how`` says in one line what matters of the environment.
    """

    title: str
    value: str
    interval: str
    samples: int
    environment: tuple[tuple[str, str], ...]
    how: str = ""
    raw: tuple[float, ...] = ()


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
        value=plain(found.value, name) if base in TITLES else plain(found.value, name, found.unit),
        interval=between(found.interval, lambda value: plain(value, name, found.unit)),
        samples=len(found.samples),
        environment=tuple(flatten({**found.environment, **found.extra})),
        how=_how({**found.environment, **found.extra}),
        raw=tuple(found.samples),
    )


def _how(known: Mapping[str, Any]) -> str:
    """The parts of an environment that a reader asks for first, as far as they were recorded."""

    def part(key: str, words: str) -> str:
        value = known.get(key)
        if value is None or value is False or value == [] or isinstance(value, Mapping):
            return ""
        shown = ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else value
        return words.format(clean(f"{shown:,}" if isinstance(shown, int) and shown is not True else shown, 80))

    split = part("split", "{} split, ") + part("samples", "{} samples")
    runtime = " ".join(item for item in (part("runtime", "{}"), part("runtime_version", "{}")) if item)
    threads = part("threads", "{} thread" + ("" if known.get("threads") == 1 else "s"))
    parts = [
        part("computed by", "{}"),
        part("computed from", "computed from {}"),
        part("how", "{}"),
        split,
        "paired with the baseline's on the same samples" if known.get("paired") else "",
        "in turns with the baseline" if known.get("interleaved") else "",
        part("target", "on {}"),
        threads,
        part("pinned_cores", "pinned to core {}"),
        runtime,
        part("delegate", "{} delegate"),
        part("invokes", "{} invokes"),
        "not stable" if known.get("stable") is False else "",
    ]
    return ", ".join(item.strip(", ") for item in parts if item)


def shared(conditions: Sequence[Condition]) -> tuple[tuple[tuple[str, str], ...], list[tuple[tuple[str, str], ...]]]:
    """What all measurements that recorded it have in common (two at least), and what is left of each one's environment."""
    values: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for condition in conditions:
        for name, value in condition.environment:
            values.setdefault(name, set()).add(value)
            counts[name] += 1
    common = {name for name, found in values.items() if len(found) == 1 and counts[name] > 1}
    first = {name: value for condition in conditions for name, value in condition.environment if name in common}
    rest = [tuple((name, value) for name, value in item.environment if name not in common) for item in conditions]
    return tuple(first.items()), rest


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
