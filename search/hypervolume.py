"""The hypervolume of a Pareto front, and how it grows with the trials of a run.

It is the volume that the front dominates in the box between an ideal file and a reference point.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from litetuner.search.front import Objective
from litetuner.search.policy import POLICY
from litetuner.search.trial import State, Trial

Measured = Callable[[str], float | None]  # name of a measurement -> its measured or expected value
DEFAULT_ALLOWED_DROP = POLICY.hypervolume.default_allowed_drop


def hypervolume(costs: np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """The exact volume between ``reference`` and ``costs`` of shape (points, objectives); lower costs are better.

    n points take n^2 cells with up to three objectives, and n times as many with each further objective. A point adds
    nothing if it is not below the reference in every objective. Raises ``ValueError`` for shapes that do not match, for
    NaN, and for a reference that is not finite.
    """
    points = np.asarray(costs, dtype=float)
    corner = np.asarray(reference, dtype=float)
    if points.size == 0:
        return 0.0
    if points.ndim != 2 or corner.shape != (points.shape[1],):
        raise ValueError(f"costs of shape {points.shape} do not fit a reference of {corner.size} objectives")
    if np.isnan(points).any() or not np.isfinite(corner).all():
        raise ValueError("costs may not be NaN, and the reference has to be finite")
    return _volume(points[(points < corner).all(axis=1)], corner)


def _volume(points: np.ndarray, corner: np.ndarray) -> float:
    if not len(points):
        return 0.0
    if corner.size == 1:
        return float(corner[0] - points.min())
    if corner.size <= 3:
        heights = points[:, 2] if corner.size == 3 else np.zeros(len(points))
        top = corner[2] if corner.size == 3 else 1.0
        return _grid(points[:, 0], points[:, 1], heights, corner, float(top))
    points = points[np.argsort(points[:, -1], kind="stable")]
    edges = np.append(points[:, -1], corner[-1])
    return sum(
        float(edges[k + 1] - edges[k]) * _volume(points[: k + 1, :-1], corner[:-1])
        for k in range(len(points))
        if edges[k + 1] > edges[k]
    )


def _grid(xs: np.ndarray, ys: np.ndarray, zs: np.ndarray, corner: np.ndarray, top: float) -> float:
    """The volume over the x-y plane: each cell is filled from the lowest z of the points at its lower left to ``top``.

    The sum is exact (``math.fsum``). The result of a matrix product depends on the processor. Gains are small
    differences of volumes, so another processor would propose other candidates.
    """
    x_edges, x_at = np.unique(xs, return_inverse=True)
    y_edges, y_at = np.unique(ys, return_inverse=True)
    lowest = np.full((x_edges.size, y_edges.size), top)
    np.minimum.at(lowest, (x_at, y_at), zs)
    lowest = np.minimum.accumulate(np.minimum.accumulate(lowest, axis=0), axis=1)
    widths, depths = np.diff(x_edges, append=corner[0]), np.diff(y_edges, append=corner[1])
    return math.fsum((widths[:, None] * (top - lowest) * depths).ravel().tolist())


@dataclasses.dataclass(frozen=True)
class Volume:
    """The hypervolume after trial number ``trial``, which ended ``seconds`` after the start of the run."""

    trial: int
    seconds: float
    value: float


def relative_costs(
    measured: Measured,
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    allowed: float,
    drop: float | None = None,
) -> tuple[float, ...] | None:
    """The relative costs of a file: 1 at the ``reference``, 0 for an ideal file. ``None`` if a value is missing.

    The cost of the metric is the accuracy drop (``drop`` if given, else the measured one) divided by ``allowed``. It is
    negative if the accuracy is higher than the baseline's. Size, latency and similar costs are on a log2 scale
    (``by_octaves``), since each halving is worth the same.
    """
    found = []
    for objective in objectives:
        if objective.measurement == "metric":
            value, unit = measured("drop") if drop is None else drop, allowed
        else:
            value, unit = measured(objective.measurement), reference.get(objective.measurement, 0.0)
        if value is None or unit <= 0 or not math.isfinite(value):
            return None
        share = value / unit
        found.append(share if objective.measurement == "metric" else by_octaves(share))
    return tuple(found)


def by_octaves(share: float) -> float:
    """The cost of a share of the reference: 1 for a share of 1, a fifth less for each halving, at least 0."""
    return max(0.0, 1 + math.log2(share) / POLICY.hypervolume.octaves) if share > 0 else 0.0


class Growth:
    """A Pareto front that grows trial by trial, and its hypervolume with the baseline as reference."""

    def __init__(self, objectives: Sequence[Objective], baseline: Trial, allowed: float = DEFAULT_ALLOWED_DROP) -> None:
        self._objectives, self._allowed = objectives, allowed
        self._reference: dict[str, float] = {}
        self._refer_to(baseline, 1.0)
        self._corner = np.ones(len(objectives))
        self._kept = np.empty((0, len(objectives)))
        self.value = 0.0

    def costs(self, measured: Measured, drop: float | None = None) -> tuple[float, ...] | None:
        return relative_costs(measured, self._objectives, self._reference, self._allowed, drop)

    def _refer_to(self, trial: Trial, factor: float) -> None:
        """Use the values of a trial, times ``factor``, as references of costs without one. Copies are not affected."""
        names = [item.measurement for item in self._objectives if item.measurement not in self._reference]
        values = {name: trial.value(name) or 0.0 for name in names}
        self._reference = self._reference | {name: factor * value for name, value in values.items() if value > 0}

    def gain(self, costs: Sequence[float]) -> float:
        point = np.array(costs)
        if (point >= self._corner).any() or (self._kept <= point).all(axis=1).any():
            return 0.0
        return hypervolume(np.vstack([self._kept, point]), self._corner) - self.value

    def add(self, trial: Trial) -> float:
        """Add a trial and return its gain of hypervolume: 0 if it breaks a budget, is a duplicate or lacks a value."""
        if trial.duplicate_of is not None or trial.state is not State.COMPLETE:
            return 0.0
        self._refer_to(trial, POLICY.hypervolume.reference_factor)
        costs = self.costs(trial.value)
        gained = 0.0 if costs is None else self.gain(costs)
        if costs is not None and gained:
            self._kept = np.vstack([self._kept[~(self._kept >= np.array(costs)).all(axis=1)], costs])
            self.value += gained
        return gained


class _WithinBox(Growth):
    """A ``Growth`` where a metric better than the baseline's counts as a drop of 0, so that the volume is at most 1."""

    def costs(self, measured: Measured, drop: float | None = None) -> tuple[float, ...] | None:
        found = super().costs(measured, drop)
        return None if found is None else tuple(max(0.0, cost) for cost in found)


def volume_over_time(
    trials: Sequence[Trial], objectives: Sequence[Objective], baseline: Trial, allowed: float = DEFAULT_ALLOWED_DROP
) -> tuple[Volume, ...]:
    """The hypervolume of the trials within the budgets, at the start and each time it grew.

    The baseline is the reference. The value is 0 for the baseline alone and 1 for an ideal file without an accuracy
    drop. A metric better than the baseline's counts as no drop. Runs with the same budgets and objectives are
    comparable.
    """
    growth = _WithinBox(objectives, baseline, allowed)
    found: list[Volume] = []
    for trial in sorted(trials, key=lambda item: (item.seconds_since_start, item.number)):
        gained = growth.add(trial)
        measured = (
            trial.duplicate_of is None and trial.state is State.COMPLETE and growth.costs(trial.value) is not None
        )
        if measured and not found:
            found.append(Volume(trial.number, trial.seconds_since_start, 0.0))
        if gained:
            found.append(Volume(trial.number, trial.seconds_since_start, growth.value))
    return tuple(found)
