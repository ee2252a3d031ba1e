"""All trials in one table, the rejected ones with their reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from litetuner.reports.draw import draw
from litetuner.reports.row import Row
from litetuner.reports.section import Content, Section
from litetuner.reports.view import View
from litetuner.reports.words import between, clean, latency, number, points, size, times
from litetuner.search.trial import Trial


@dataclasses.dataclass(frozen=True)
class Cell:
    """Text for people, the value that the column is sorted by, and a longer text for those who ask."""

    text: str
    value: float | None
    title: str = ""


class TrialsSection(Section):
    name = "trials"
    order = 30
    title = "All trials"

    def render(self, view: View) -> Content | None:
        if not view.record.trials:
            return None
        front = {trial.number for trial in view.front}
        lines = [
            (view.row(t), t, tuple(cells(view, view.row(t))), kind(t, front), view.why(t)) for t in view.record.trials
        ]
        states: dict[str, int] = {}
        for _, _, _, found, _ in lines:
            states[found] = states.get(found, 0) + 1
        order = [name for name in ORDER if name in states]
        return Content(draw("trials.html", view=view, lines=lines, columns=columns(view), states=states, order=order))


ORDER = ("baseline", "front", "complete", "infeasible", "pruned", "invalid", "failed", "lost", "repeated")


def kind(trial: Trial, front: set[int]) -> str:
    """What the table calls a trial: its state, or that it is the baseline, on the front, or a repetition."""
    if trial.duplicate_of is not None:
        return "repeated"
    if trial.number in front:
        return "front"
    if trial.number == 0 and trial.state.scored:
        return "baseline"
    return str(trial.state).lower()


def columns(view: View) -> tuple[str, ...]:
    """The titles of the columns of numbers."""
    tested = ("test", "test loss") if any(row.test_metric is not None for row in view.rows) else ()
    timed: list[str] = []
    for target in view.targets:
        on = "" if view.targets == ("host",) else f" {clean(target, 24)}"
        timed += [f"latency{on}", f"speed{on}"]
    return (view.metric_name, "loss", *tested, "deflated", "file", *timed)


def cells(view: View, row: Row) -> Iterator[Cell]:
    """The numbers of a row, in the order of ``columns``."""
    yield Cell(number(row.metric), row.metric, _interval(between(row.metric_interval)))
    yield Cell(points(row.drop), row.drop)
    if "test" in columns(view):
        yield Cell(number(row.test_metric), row.test_metric)
        yield Cell(points(row.test_drop), row.test_drop, _interval(between(row.test_drop_interval, points)))
    yield Cell(size(row.deflated_bytes), row.deflated_bytes)
    yield Cell(size(row.file_bytes), row.file_bytes)
    for target in view.targets:
        spread = between(row.latency_interval_us.get(target), latency)
        yield Cell(latency(row.latency_us.get(target)), row.latency_us.get(target), _interval(spread))
        yield Cell(times(row.latency_ratio.get(target)), row.latency_ratio.get(target))


def _interval(text: str) -> str:
    return f"95 % interval {text}" if text else ""
