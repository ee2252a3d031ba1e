"""The hypervolume: how much of the box between an ideal file and a reference point a Pareto front covers, and how it grew."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from litetuner.search.front import Objective
from litetuner.search.policy import POLICY
from litetuner.search.trial import State, Trial

Measured = Callable[[str], float | None]  # what is measured or expected, by the name of a measurement
DEFAULT_ALLOWED_DROP = POLICY.hypervolume.default_allowed_drop


def hypervolume(costs: np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Volume dominated by ``costs`` (points, objectives; less is better) below ``reference``: exact.

    Up to three objectives take n^2 cells for n points, each further one n times as many. Points that do not reach
    below the reference add nothing. Raises ``ValueError`` for shapes that do not fit and for NaN.
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
    """Each cell of the plane is covered from the least z of all points to its lower left up to ``top``.

    The sum is exact: that of a matrix product depends on the processor, and gains are small differences of volumes, so another
    processor would propose other candidates.
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
    """The hypervolume after ``trial``, ``seconds`` of the run's time after its start."""

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
    """The costs of a file where the ``reference``'s are 1 and an ideal file's 0; ``None`` where something was not measured.

    The metric counts as its drop (``drop``, else the measured one) in units of ``allowed``; a gain is below 0. Size,
    latency and the like count by octaves, since half of what is left is worth as much each time.
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
    """1 for the baseline's, less by a fifth for each halving, and never below 0."""
    return max(0.0, 1 + math.log2(share) / POLICY.hypervolume.octaves) if share > 0 else 0.0


class Growth:
    """A front that grows trial by trial, and what each added to its hypervolume, with the baseline as reference."""

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
        """Take what a trial measured as the reference of costs that have none yet. A copy of this keeps its own."""
        names = [item.measurement for item in self._objectives if item.measurement not in self._reference]
        values = {name: trial.value(name) or 0.0 for name in names}
        self._reference = self._reference | {name: factor * value for name, value in values.items() if value > 0}

    def gain(self, costs: Sequence[float]) -> float:
        point = np.array(costs)
        if (point >= self._corner).any() or (self._kept <= point).all(axis=1).any():
            return 0.0
        return hypervolume(np.vstack([self._kept, point]), self._corner) - self.value

    def add(self, trial: Trial) -> float:
        """Take a trial in, and say what it added: nothing unless it is within the budgets and was measured."""
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
    """The same where a metric better than the baseline's counts as no drop, so that the volume stays within 1."""

    def costs(self, measured: Measured, drop: float | None = None) -> tuple[float, ...] | None:
        found = super().costs(measured, drop)
        return None if found is None else tuple(max(0.0, cost) for cost in found)


def volume_over_time(
    trials: Sequence[Trial], objectives: Sequence[Objective], baseline: Trial, allowed: float = DEFAULT_ALLOWED_DROP
) -> tuple[Volume, ...]:
    """The hypervolume of what was within the budgets, at the start and whenever it grew, against the baseline as reference.

    0 is the baseline alone, 1 ideal files without a drop (a gain in the metric counts as none): runs under the same budgets
    and objectives can be compared.
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
