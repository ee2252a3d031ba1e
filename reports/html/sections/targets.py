"""Several targets: a chart of each one's own front, and how the picks do on every one of them."""

from __future__ import annotations

from typing import Any

from litetuner.reports.html.draw import draw, figure_text
from litetuner.reports.html.sections.front import figure
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.view import View
from litetuner.reports.text.formatting import latency, times


class TargetsSection(Section):
    name = "targets"
    order = 22
    title = "Target by target"

    def render(self, view: View) -> Content | None:
        found = view.by_target
        if found is None:
            return None
        figures = {f"chart-{chart.name}": marked(view, target) for target, chart in found.charts.items() if chart}
        lines = [
            (
                pick,
                [(latency(on.latency_us), "" if on.ratio is None else times(on.ratio), on.on_front) for on in pick.on],
            )
            for pick in found.picks
        ]
        missing = [target for target, chart in found.charts.items() if chart is None]
        charts = [(target, chart, len(view.fronts[target])) for target, chart in found.charts.items() if chart]
        return Content(
            draw("targets.html", view=view, found=found, charts=charts, lines=lines, missing=missing), figures
        )


def marked(view: View, target: str) -> dict[str, Any]:
    """The chart of a target with its own front in place of the first target's, and the names of the picks."""
    found, chart = view.by_target, None if view.by_target is None else view.by_target.charts[target]
    if found is None or chart is None:
        raise ValueError(f"there is no chart of the target {target!r}")
    at = {trial.number: index for index, trial in enumerate(view.record.trials)}
    drawn = figure(view, chart)
    names = [[at[pick.row.trial], figure_text(", ".join(pick.names))] for pick in found.picks]
    own = {"front": [at[trial.number] for trial in view.fronts[target]], "names": names, "down": chart.y.minimize}
    return drawn | {"pair": drawn["pair"] | own}
