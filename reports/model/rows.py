"""Rows: the numbers of one trial. ``summary.json``, ``trials.csv``, the report and the model card all use them."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from litetuner.reports.text.formatting import Interval, clean, with_unit
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial


@dataclasses.dataclass(frozen=True)
class Row:
    """The numbers of a trial. ``None`` means not measured; missing values are never computed from others.

    ``drop`` is in points for bounded metrics, else relative to the baseline; it is positive if the metric is worse. The
    latency fields hold one entry for each target. ``latency_ratio`` is the baseline's latency divided by that of this
    file. ``latency_from`` names another file with the same structure on which the latency was measured (``None``: it
    was measured on this file). Intervals are 95 % intervals. ``flash_bytes`` is the size of the file as a device stores
    it.

    ``arena_bytes`` is the peak of the tensor arena, ``memory_bytes`` is the arena plus the weights, and
    ``peak_rss_bytes`` is the peak memory of the process above that of the runtime alone. ``energy_uj`` is measured,
    ``energy_estimate_uj`` is an estimate. ``delegates`` holds for each target the number of ``operators``, of
    ``delegated`` operators, of ``partitions``, and of ``quantize`` and ``dequantize`` operators, and the ``fallback``
    with its reasons.
    """

    trial: int
    label: str
    state: str
    metric: float | None
    metric_interval: Interval | None
    drop: float | None
    test_metric: float | None
    test_drop: float | None
    test_drop_interval: Interval | None
    file_bytes: int | None
    compressed_bytes: int | None
    flash_bytes: int | None
    latency_us: dict[str, float | None]
    latency_interval_us: dict[str, Interval | None]
    latency_ratio: dict[str, float | None]
    latency_from: dict[str, str | None]
    arena_bytes: int | None
    memory_bytes: int | None
    peak_rss_bytes: dict[str, int | None]
    macs: int | None
    energy_estimate_uj: float | None
    energy_uj: dict[str, float | None]
    delegates: dict[str, dict[str, Any] | None]
    artifact: str | None
    sha256: str | None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}

    def size(self, measurement: str) -> int | None:
        """The size with the given name: ``compressed_bytes``, ``file_bytes`` or ``flash_bytes``."""
        if measurement.startswith("flash_bytes"):
            return self.flash_bytes
        return self.compressed_bytes if measurement == "compressed_bytes" else self.file_bytes


FIELDS = tuple(field.name for field in dataclasses.fields(Row))  # dataclasses.asdict is slow for thousands of rows


def shown_labels(trials: Iterable[Trial], limit: int) -> dict[int, str]:
    """The label of each trial by number. If different candidates have the same label, their ids are added."""
    named = [(trial.number, trial.candidate.label, trial.candidate.id) for trial in trials]
    ids: dict[str, set[str]] = defaultdict(set)
    for _, label, key in named:
        ids[label].add(key)
    return {at: clean(label, limit) + (f" ({key})" if len(ids[label]) > 1 else "") for at, label, key in named}


def metric_name(record: RunRecord) -> str:
    return clean(record.metric.name, 60)


def measured_targets(record: RunRecord) -> tuple[str, ...]:
    """The targets of the configuration, then other targets that were measured earlier in the run."""
    found = dict.fromkeys(record.config.targets)
    for trial in record.trials:
        found |= dict.fromkeys(n.partition(":")[2] for n in trial.measurements if n.startswith("latency_us:"))
    return tuple(found)


def measured_words(trial: Trial, name: str) -> str:
    """A measured value with its unit, as text for a sentence."""
    found = trial.measurements[name]
    return with_unit(found.value, name, found.unit)


def make_row(trial: Trial, targets: Sequence[str]) -> Row:
    return Row(
        trial=trial.number,
        label=trial.candidate.label,
        state=str(trial.state),
        metric=finite_value(trial, "metric"),
        metric_interval=finite_interval(trial, "metric"),
        drop=finite_value(trial, "drop"),
        test_metric=finite_value(trial, "test_metric"),
        test_drop=finite_value(trial, "test_drop"),
        test_drop_interval=finite_interval(trial, "test_drop"),
        file_bytes=_whole(trial, "file_bytes"),
        compressed_bytes=_whole(trial, "compressed_bytes"),
        flash_bytes=_flash(trial, targets),
        latency_us={target: finite_value(trial, f"latency_us:{target}") for target in targets},
        latency_interval_us={target: finite_interval(trial, f"latency_us:{target}") for target in targets},
        latency_ratio={target: finite_value(trial, f"latency_ratio:{target}") for target in targets},
        latency_from={target: latency_source(trial, target) for target in targets},
        arena_bytes=_whole(trial, "arena_bytes"),
        memory_bytes=_whole(trial, "memory_bytes"),
        peak_rss_bytes={target: _whole(trial, f"peak_rss_bytes:{target}") for target in targets},
        macs=_whole(trial, "macs"),
        energy_estimate_uj=finite_value(trial, "energy_estimate_uj"),
        energy_uj={target: finite_value(trial, f"energy_uj:{target}") for target in targets},
        delegates={target: _delegates(trial, target) for target in targets},
        artifact=trial.artifact,
        sha256=trial.sha256,
    )


class Rows(Mapping[int, Row]):
    """The row of each trial by number. Rows are made on first access, because most of them are never shown."""

    def __init__(self, record: RunRecord, targets: Sequence[str]) -> None:
        self._trials = {trial.number: trial for trial in record.trials}
        self._targets = targets
        self._made: dict[int, Row] = {}

    def __getitem__(self, number: int) -> Row:
        if number not in self._made:
            self._made[number] = make_row(self._trials[number], self._targets)
        return self._made[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)


def finite(value: Any) -> Any:
    """A JSON value with ``None`` for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def finite_value(trial: Trial, name: str) -> float | None:
    """A measurement's value. NaN and infinity count as not measured: JSON cannot hold them."""
    value = trial.value(name)
    return value if value is not None and math.isfinite(value) else None


def _whole(trial: Trial, name: str) -> int | None:
    value = finite_value(trial, name)
    return None if value is None else round(value)


def _flash(trial: Trial, targets: Sequence[str]) -> int | None:
    """The flash size on the first target that reports it, else ``flash_bytes`` of the file."""
    stored = (f"flash_bytes:{target}" for target in targets)
    return _whole(trial, next((name for name in stored if name in trial.measurements), "flash_bytes"))


def latency_source(trial: Trial, target: str) -> str | None:
    """The source of a latency that was measured on another file of the same structure.

    It is ``trial 12`` or ``an untrained copy``; ``None`` if the trial's own file was measured.
    """
    latency = trial.measurements.get(f"latency_us:{target}")
    mark = None if latency is None else latency.extra.get("borrowed_from")
    if mark is None:
        return None
    return "an untrained copy" if mark.get("trial") is None else f"trial {mark['trial']}"


def _delegates(trial: Trial, target: str) -> dict[str, Any] | None:
    latency = trial.measurements.get(f"latency_us:{target}")
    return None if latency is None else latency.extra.get("delegates")


def finite_interval(trial: Trial, name: str) -> Interval | None:
    found = trial.measurements.get(name)
    if found is None or found.interval is None or not all(math.isfinite(bound) for bound in found.interval):
        return None
    return (float(found.interval[0]), float(found.interval[1]))
