"""The progress of a search: how its time was used, and how the hypervolume grew."""

import dataclasses

from litetuner.reports.text.formatting import clean
from litetuner.search.clock import NODE
from litetuner.search.config.budgets import allowed_drop
from litetuner.search.hypervolume import Volume, volume_over_time
from litetuner.search.runs.record import RunRecord

KINDS = {
    "inspect": "Inspecting the model and the data",
    "train": "Training",
    "convert": "Converting and rewriting files",
    "score": "Scoring on the search split",
    "time": "Timing on the target",
}
NOT_WORK = ("wall", "other", "slots", "cpu")
ROUNDING = 1e-3  # relative error of recorded seconds
MOST_OF_IT = 0.9  # share of the final hypervolume


@dataclasses.dataclass(frozen=True)
class TimeUse:
    """How the time was used. ``parts`` are (kind of work, seconds, share).

    ``slots`` is the wall time multiplied by the number of trials that could run at the same time. ``other`` is the time
    of litetuner itself; with parallel trials it includes waiting for targets and other trials. ``overhead`` is
    ``other`` / ``slots``. ``queues`` are the largest numbers of jobs that waited at the same time, for workers and for
    each target.
    """

    wall: float | None
    slots: float | None
    parts: tuple[tuple[str, float, float], ...]
    other: float | None
    overhead: float | None
    nodes: tuple[tuple[str, float], ...] = ()  # (node of a cluster, seconds of its jobs)
    queues: tuple[tuple[str, int], ...] = ()

    @property
    def parallel(self) -> float:
        """How many trials could run at the same time, on average."""
        return self.slots / self.wall if self.slots and self.wall else 1.0

    @property
    def queue_words(self) -> str:
        """The queues as text: ``3 jobs for host, 1 job for workers``; empty if no job waited."""
        return ", ".join(f"{length} job{'' if length == 1 else 's'} for {name}" for name, length in self.queues)


@dataclasses.dataclass(frozen=True)
class HypervolumeGrowth:
    """The hypervolume over time.

    ``most`` is the point where it first reached 90 % of its last value. ``end`` is the duration of the run in seconds.
    ``allowed_drop`` is the accuracy drop from which on a file adds no hypervolume.
    """

    values: tuple[Volume, ...]
    most: Volume
    end: float
    allowed_drop: float

    @property
    def last(self) -> Volume:
        return self.values[-1]


def find_time_use(record: RunRecord) -> TimeUse | None:
    """How the time of a run was used, ``None`` if nothing was recorded."""
    seconds = record.seconds
    named = [(KINDS.get(kind, clean(kind, 40)), seconds[kind]) for kind in (*KINDS, *seconds) if kind in seconds]
    work = [(name, value) for name, value in dict(named).items() if name not in NOT_WORK and not name.startswith(NODE)]
    wall, other = seconds.get("wall"), seconds.get("other")
    slots = seconds.get("slots", wall)
    if other is not None:
        alone = slots is None or wall is None or slots < (1 + ROUNDING) * wall
        work.append(("litetuner itself" if alone else "litetuner itself, and waiting", other))
    total = sum(value for _, value in work)
    if not total:
        return None
    overhead = other / slots if slots and other is not None else None
    parts = tuple((name, value, value / total) for name, value in work)
    nodes = tuple((clean(name[len(NODE) :], 80), value) for name, value in seconds.items() if name.startswith(NODE))
    queues = tuple((clean(name, 80), length) for name, length in record.queues.items())
    return TimeUse(wall, slots, parts, other, overhead, nodes, queues)


def find_hypervolume_growth(record: RunRecord) -> HypervolumeGrowth | None:
    """The growth of the hypervolume, ``None`` without a baseline or before the hypervolume has grown."""
    baseline = record.baseline
    if baseline is None:
        return None
    allowed = allowed_drop(record.budgets, baseline.measurements)
    values = tuple(volume_over_time(record.trials, record.objectives, baseline, allowed))
    if len(values) < 2:
        return None
    most = next(item for item in values if item.value >= MOST_OF_IT * values[-1].value)
    end = max((trial.seconds_since_start for trial in record.trials), default=0.0)
    return HypervolumeGrowth(values, most, end, allowed)
