"""Results on several targets: the Pareto front and the picks on each target, and the reason for the robust pick."""

import dataclasses
import math
from collections.abc import Sequence

from litetuner.reports.model.result import Result
from litetuner.reports.model.rows import Row
from litetuner.reports.model.sections.charts import Chart, target_chart
from litetuner.reports.text.formatting import clean, times


@dataclasses.dataclass(frozen=True)
class OnTarget:
    """A pick on one target: latency, speed relative to the baseline, and whether it is on the target's Pareto front."""

    target: str
    latency_us: float | None
    ratio: float | None
    on_front: bool


@dataclasses.dataclass(frozen=True)
class TargetPick:
    names: tuple[str, ...]
    row: Row
    on: tuple[OnTarget, ...]

    @property
    def slowest(self) -> OnTarget | None:
        """The target with the lowest speed relative to the baseline, ``None`` if a target has no measured speed."""
        return min(self.on, key=lambda item: item.ratio or 0.0) if all(item.ratio for item in self.on) else None


@dataclasses.dataclass(frozen=True)
class Targets:
    """Results by target. ``charts`` are in the configuration's order, ``None`` for a target without measurements.

    ``robust`` is a sentence about the robust pick.
    """

    charts: dict[str, Chart | None]
    picks: tuple[TargetPick, ...]
    robust: str


def find_targets(result: Result) -> Targets | None:
    """The results on all targets, ``None`` if there is only one target."""
    fronts = result.fronts
    if len(fronts) < 2:
        return None
    listed = []
    for number, names in result.pick_names.items():
        row = result.rows[number]
        on = (
            OnTarget(target, row.latency_us.get(target), row.latency_ratio.get(target), number in own)
            for target, own in fronts.items()
        )
        listed.append(TargetPick(tuple(names), row, tuple(on)))
    charts = {
        target: target_chart(result.record, at, frozenset(own)) for at, (target, own) in enumerate(fronts.items())
    }
    return Targets(charts, tuple(listed), _robust(listed, len(fronts)))


def _robust(picks: Sequence[TargetPick], targets: int) -> str:
    """A sentence that explains the robust pick, or why there is none."""
    chosen = next((pick for pick in picks if "robust" in pick.names), None)
    if not picks:
        return "No candidate is within the budgets, so there is no robust pick."
    if chosen is None or chosen.slowest is None:
        return "No candidate within the budgets was measured on all targets, so there is no robust pick."
    every = "both targets" if targets == 2 else f"all {targets} targets"
    least = times(chosen.slowest.ratio)
    text = (
        f"The robust pick is trial {chosen.row.trial}: at least {least} the baseline's speed on {every} "
        f"(lowest on {clean(chosen.slowest.target, 40)}). No other candidate within the budgets has a better worst target"
    )
    rivals = [pick for pick in picks if _worst(pick) < _worst(chosen)]
    rival = next((pick for name in ("fastest", "best") for pick in rivals if name in pick.names), None)
    if rival is not None and rival.slowest is not None:
        name = "fastest" if "fastest" in rival.names else "best"
        slow = rival.slowest
        text += f"; the {name} pick, trial {rival.row.trial}, reaches {times(slow.ratio)} on {clean(slow.target, 40)}"
    return f"{text}."


def _worst(pick: TargetPick) -> float:
    return math.inf if pick.slowest is None or pick.slowest.ratio is None else pick.slowest.ratio
