"""Several targets: each one's own front, how the picks do on each, and why the robust one is robust."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from litetuner.reports.model.charts import Chart, target_chart
from litetuner.reports.model.rows import Row
from litetuner.reports.text.formatting import clean, times

if TYPE_CHECKING:
    from litetuner.reports.model.view import View


@dataclasses.dataclass(frozen=True)
class OnTarget:
    """A pick on one target: its latency, how much faster than the baseline there, and whether it is on that target's front."""

    target: str
    latency_us: float | None
    ratio: float | None
    on_front: bool


@dataclasses.dataclass(frozen=True)
class TargetPick:
    """A trial that is picked, under all the names that it has."""

    names: tuple[str, ...]
    row: Row
    on: tuple[OnTarget, ...]

    @property
    def slowest(self) -> OnTarget | None:
        """The target on which it gains least, ``None`` where it was not measured on all."""
        return min(self.on, key=_ratio) if all(item.ratio for item in self.on) else None


@dataclasses.dataclass(frozen=True)
class Targets:
    """``charts`` by target, in the configuration's order, ``None`` where nothing was measured there yet."""

    charts: dict[str, Chart | None]
    picks: tuple[TargetPick, ...]
    robust: str


def find_targets(view: View) -> Targets | None:
    """``None`` with one target."""
    if len(view.fronts) < 2:
        return None
    members = {target: {trial.number for trial in own} for target, own in view.fronts.items()}
    names: dict[int, list[str]] = {}
    for name, trial in view.picks.items():
        names.setdefault(trial.number, []).append(name)
    rows = {trial.number: view.row(trial) for trial in view.picks.values()}
    picks = tuple(
        TargetPick(
            tuple(found),
            rows[number],
            tuple(
                OnTarget(t, rows[number].latency_us.get(t), rows[number].latency_ratio.get(t), number in members[t])
                for t in members
            ),
        )
        for number, found in names.items()
    )
    charts = {target: target_chart(view, target) for target in view.fronts}
    return Targets(charts, picks, _robust(picks, len(members)))


def _robust(picks: Sequence[TargetPick], targets: int) -> str:
    """Why the robust pick is that one, in a sentence."""
    chosen = next((pick for pick in picks if "robust" in pick.names), None)
    if not picks:
        return "Nothing is within the budgets, so there is no robust pick."
    if chosen is None or chosen.slowest is None:
        return "No candidate within the budgets was measured on all targets, so none is called robust."
    every = "both targets" if targets == 2 else f"all {targets} targets"
    least = times(chosen.slowest.ratio)
    text = (
        f"Robust is trial {chosen.row.trial}: on {every} it runs at {least} the speed of the original or more "
        f"(the least on {clean(chosen.slowest.target, 40)}), and no other candidate within the budgets has a better worst target"
    )
    rivals = [
        pick for pick in picks if pick is not chosen and pick.slowest is not None and _worst(pick) < _worst(chosen)
    ]
    rival = next((pick for name in ("fastest", "best") for pick in rivals if name in pick.names), None)
    if rival is not None and rival.slowest is not None:
        name = "fastest" if "fastest" in rival.names else "best"
        slow = rival.slowest
        text += f"; the {name} one, trial {rival.row.trial}, comes to {times(slow.ratio)} on {clean(slow.target, 40)}"
    return f"{text}."


def _ratio(item: OnTarget) -> float:
    return math.inf if item.ratio is None else item.ratio


def _worst(pick: TargetPick) -> float:
    return math.inf if pick.slowest is None else _ratio(pick.slowest)
