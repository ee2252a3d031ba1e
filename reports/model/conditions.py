"""How and where each number was measured, how much accuracy the conversion costs, and which timings are unstable."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.reports.model.rows import finite_interval, finite_value
from litetuner.reports.text.formatting import (
    DROPS,
    Interval,
    clean,
    drop_between,
    drop_words,
    interval_words,
    number,
    size,
    with_unit,
)
from litetuner.search.runs.environments import other_environments
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial

Pairs = tuple[tuple[str, str], ...]  # (name, value) as text
PREFIXES = {"untrained": "untrained copy", "probe": "probe"}
TITLES = {
    "metric": "metric, search split",
    "drop": "drop, search split",
    "test_metric": "metric, test split",
    "test_drop": "drop, test split",
    "file_bytes": "file size",
    "compressed_bytes": "compressed size (zlib)",
    "latency_us": "latency",
    "latency_ratio": "speed relative to the baseline",
    "flash_bytes": "flash",
    "sram_bytes": "SRAM",
    "arena_bytes": "tensor arena",
    "memory_bytes": "memory: arena and constants",
    "peak_rss_bytes": "peak memory of the process",
    "macs": "MACs",
    "energy_uj": "energy",
    "energy_estimate_uj": "energy (estimate)",
    "keras_metric": "metric of the Keras model",
    "conversion_gap": "drop of the conversion alone",
}
CAUSES = {
    "busy": "other processes were running",
    "stolen": "the hypervisor used the core",
    "throttled": "the core was throttled",
    "drift": "the speed drifted",
    "spread": "the samples are spread widely",
    "interval": "the intervals stayed wide",
    "preempted": "every invocation was preempted",
    "blocks": "there was time for few blocks",
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """One measurement: its value and interval as text, the raw samples, and its environment as (name, value).

    ``samples`` is the number of raw samples. ``how`` summarizes the environment in one line.
    """

    title: str
    value: str
    interval: str
    samples: int
    environment: Pairs
    how: str = ""
    raw: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class RunConditions:
    """How the numbers of one trial were measured, and the machine, versions, settings and budgets of the run.

    ``common`` are the environment values that are equal in all measurements that recorded them. ``own`` are the other
    values of each measurement.
    """

    measurements: tuple[Condition, ...]
    common: Pairs
    own: tuple[Pairs, ...]
    environment: Pairs
    settings: Pairs


@dataclasses.dataclass(frozen=True)
class Conversion:
    """The metric of the Keras model, and the accuracy drop of its float file.

    ``gap`` has the unit of a drop: in points for metrics within [0, 1], else relative. It is positive if the file is
    worse. The model and the file were scored on the first ``samples`` samples of the search split. ``gap_interval`` is
    the paired 95 % interval.
    """

    keras_metric: float
    gap: float
    gap_interval: Interval | None
    samples: int | None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def words(self, metric: str, bounded: bool) -> str:
        """One sentence: the metric of the Keras model, and the drop of its float file."""
        on = f"on {self.samples:,} samples of the search split" if self.samples else "on the search split"
        text = f"Conversion alone: the Keras model has {metric} {number(self.keras_metric)} {on}; "
        text += f"the float .tflite file (the baseline) shows {drop_words(self.gap, bounded)} on the same samples"
        if self.gap_interval is not None:
            text += f" (95 % interval {drop_between(self.gap_interval, bounded)})"
        return f"{text}."


def find_run_conditions(record: RunRecord, trial: Trial | None) -> RunConditions:
    measurements = () if trial is None else find_conditions(trial)
    common, own = _shared(measurements)
    return RunConditions(
        measurements=measurements,
        common=common,
        own=own,
        environment=tuple(pair for pair in flatten(record.environment) if pair[0] != "format version"),
        settings=(*_decided(record), *flatten(record.config.model_dump(mode="json"))),
    )


def _decided(record: RunRecord) -> Pairs:
    decision = record.data.decision
    return () if decision is None else (("outputs are read as", clean(decision.words, 200)),)


def find_conditions(trial: Trial) -> tuple[Condition, ...]:
    """The conditions of all measurements of a trial. Measurements in ``TITLES`` come first, in that order."""
    order = list(TITLES)
    names = sorted(trial.measurements, key=lambda n: (order.index(b) if (b := n.partition(":")[0]) in order else 99, n))
    return tuple(_condition(name, trial.measurements[name]) for name in names)


def _condition(name: str, found: Measurement) -> Condition:
    prefix, _, own = name.partition(".") if name.partition(".")[0] in PREFIXES else ("", "", name)
    base, _, target = own.partition(":")
    title = TITLES.get(base, clean(base.replace("_", " "), 40)) + (f" on {clean(target, 40)}" if target else "")
    title += f" ({PREFIXES[prefix]})" if prefix else ""
    unit = found.unit if base in DROPS or base not in TITLES or base.startswith(("macs", "energy")) else ""
    return Condition(
        title=title,
        value=with_unit(found.value, base, unit),
        interval=interval_words(found.interval, base, unit),
        samples=len(found.samples),
        environment=tuple(flatten({**found.environment, **found.extra})),
        how=_how({**found.environment, **found.extra}),
        raw=tuple(found.samples),
    )


def _how(known: Mapping[str, Any]) -> str:
    """The most important values of an environment in one line; values that were not recorded are left out."""

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
        "paired with the baseline on the same samples" if known.get("paired") else "",
        "interleaved with the baseline" if known.get("interleaved") else "",
        part("target", "on {}"),
        threads,
        part("pinned_cores", "pinned to core {}"),
        runtime,
        part("delegate", "{} delegate"),
        part("invokes", "{} invokes"),
        "unstable" if known.get("stable") is False else "",
    ]
    return ", ".join(item.strip(", ") for item in parts if item)


def _shared(conditions: Sequence[Condition]) -> tuple[Pairs, tuple[Pairs, ...]]:
    """Split the environments into common values and the rest of each measurement.

    A value is common if at least two measurements recorded it, and it is the same in all that did.
    """
    values: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for condition in conditions:
        for name, value in condition.environment:
            values.setdefault(name, set()).add(value)
            counts[name] += 1
    common = {name for name, found in values.items() if len(found) == 1 and counts[name] > 1}
    first = {name: value for condition in conditions for name, value in condition.environment if name in common}
    rest = tuple(tuple((name, value) for name, value in item.environment if name not in common) for item in conditions)
    return tuple(first.items()), rest


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested JSON object as pairs (name, value) of text: ``{"cpu": {"model": "x"}}`` gives ``("cpu model", "x")``."""
    for name, value in values.items():
        title = f"{prefix}{clean(str(name).replace('_', ' '), 60)}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{title} ")
        elif isinstance(value, list | tuple):
            shown = ", ".join(clean(item, 60) for item in value[:12]) + (" …" if len(value) > 12 else "")
            yield title, shown or "none"
        elif isinstance(value, bool):
            yield title, "yes" if value else "no"
        elif isinstance(value, int) and title.endswith(" bytes"):
            yield title.removesuffix(" bytes"), size(value)
        elif value is not None:
            yield title, f"{value:.6g}" if isinstance(value, float) else clean(value, 200)


def find_conversion(baseline: Trial | None) -> Conversion | None:
    """The conversion that trial 0 recorded.

    ``None`` if no Keras model was scored (``.tflite`` input, or no time left).
    """
    if baseline is None:
        return None
    original, gap = finite_value(baseline, "keras_metric"), finite_value(baseline, "conversion_gap")
    if original is None or gap is None:
        return None
    samples = baseline.measurements["conversion_gap"].environment.get("samples")
    interval = finite_interval(baseline, "conversion_gap")
    return Conversion(original, gap, interval, samples if isinstance(samples, int) else None)


def _own(trial: Trial, latency: Measurement) -> bool:
    """True if the latency was measured on the file of this trial: it is no duplicate, and nothing was borrowed."""
    return trial.duplicate_of is None and "borrowed_from" not in latency.extra


def unstable_words(trials: Iterable[Trial]) -> str:
    """``Unstable timing in 3 of 40 latency measurements ...``; empty if all were stable, or if it was not recorded."""
    timed = {
        id(found): found
        for trial in trials
        for name, found in trial.measurements.items()
        if name.startswith("latency_us:") and found.extra.get("stable") is not None and _own(trial, found)
    }
    unstable = [found for found in timed.values() if found.extra["stable"] is False]
    if not unstable:
        return ""
    causes: Counter[str] = Counter()
    for found in unstable:
        reasons = found.extra.get("instability")
        causes.update({str(item).partition(":")[0] for item in reasons} if isinstance(reasons, list | tuple) else ())
    cause = causes.most_common(1)[0][0] if causes else ""
    why = f", mostly because {CAUSES.get(cause, clean(cause, 40))}" if cause else ""
    count = f"{len(unstable)} of {len(timed)} latency measurements"
    return f"Unstable timing in {count}{why}. Small differences in latency may be noise."


def mixed_words(front: Iterable[Trial], baseline: Trial | None) -> str:
    """Warns about trials on the Pareto front that were measured with other versions or machines than the baseline."""
    if baseline is None or baseline.environment is None:
        return ""
    found = other_environments(front, baseline.environment)
    parts = [
        f"{'trial' if len(own) == 1 else 'trials'} {', '.join(map(str, own))} with {clean(what, 300)}"
        for what, own in found.items()
    ]
    if not parts:
        return ""
    return f"The Pareto front mixes environments: {'; '.join(parts)} as the baseline. Compare their numbers with care."
