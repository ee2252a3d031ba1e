"""What each step of the best contributes: the best without it."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.ablation import Contribution
from litetuner.reports.model.view import View
from litetuner.reports.text.formatting import latency, minus, number, size


class StepsSection(Section):
    name = "steps"
    order = 25
    title = "What each step contributes"

    def render(self, view: View) -> Content | None:
        best = view.best_trial
        if best is None or not view.ablation:
            return None
        own = Contribution(
            "",
            best.candidate.label,
            best.value("metric"),
            best.value(view.size_measurement),
            best.value(f"latency_us:{view.target}"),
            best.number,
        )
        lines = [(item, self._cells(view, own, item)) for item in view.ablation]
        return Content(draw("steps.html", view=view, best=own, cells=self._cells(view, own, own), lines=lines))

    def _cells(self, view: View, best: Contribution, item: Contribution) -> list[tuple[str, str]]:
        """Each number, and how it differs from the best's."""
        metric = ""
        if item is not best and item.metric is not None and best.metric is not None:
            gap = (item.metric - best.metric) * (100 if view.bounded else 1)
            metric = _signed(f"{gap:+.2f}" if view.bounded else f"{gap:+.4g}") + (" points" if view.bounded else "")
        return [
            (number(item.metric), metric),
            (size(item.size_bytes), _share(item, best, item.size_bytes, best.size_bytes)),
            (latency(item.latency_us), _share(item, best, item.latency_us, best.latency_us)),
        ]


def _share(item: Contribution, best: Contribution, value: float | None, own: float | None) -> str:
    if item is best or value is None or not own:
        return ""
    return _signed(f"{(value / own - 1) * 100:+.1f}") + " %"


def _signed(text: str) -> str:
    return minus(text) if text.startswith("-") else text
