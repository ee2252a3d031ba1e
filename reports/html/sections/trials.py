"""All trials in one table, the rejected ones with their reason; the page fills it, a part at a time."""

from __future__ import annotations

from litetuner.reports.html.draw import draw
from litetuner.reports.html.sections.section import Content, Section
from litetuner.reports.model.view import View
from litetuner.reports.text.formatting import plain
from litetuner.reports.text.trial_kinds import ORDER, kind
from litetuner.search.trial import Trial

MOST_STATIC = 40  # rows that are there without JavaScript: the baseline and the front


class TrialsSection(Section):
    name = "trials"
    order = 40
    title = "All trials"

    def render(self, view: View) -> Content | None:
        trials = view.record.trials
        if not trials:
            return None
        front = {trial.number for trial in view.front}
        states: dict[str, int] = {}
        for trial in trials:
            found = kind(trial, front)
            states[found] = states.get(found, 0) + 1
        chips = [(at, name, states[name]) for at, name in enumerate(ORDER) if name in states]
        baseline = view.record.baseline
        static = [*([baseline] if baseline else []), *(t for t in view.front if t is not baseline)][:MOST_STATIC]
        lines = [(trial, kind(trial, front), texts(view, trial)) for trial in static]
        essential = essentials(view)
        more = [(at, column) for at, column in enumerate(view.columns) if column.name not in essential]
        return Content(
            draw("trials.html", count=len(trials), lines=lines, columns=view.columns, chips=chips, more=more)
        )


def essentials(view: View) -> frozenset[str]:
    """The measurements that the table shows at first: what is optimised or limited, loss and speed. The reader adds others."""
    asked = {o.measurement for o in view.record.objectives} | {budget.measurement for budget in view.budgets}
    first = {view.size_measurement, f"latency_us:{view.target}", f"latency_ratio:{view.target}"}
    return frozenset({"metric", "drop"} | asked | first)


def texts(view: View, trial: Trial) -> list[str]:
    """The numbers of a trial in the order of the columns."""
    found = []
    for column in view.columns:
        value = view.finite(trial, column.name)
        found.append("–" if value is None else plain(value, column.name, column.unit))
    return found
