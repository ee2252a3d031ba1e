"""What the command line shows of a run, as rich renderables. Names are text, never markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from litetuner.reports.model.rows import Row
from litetuner.reports.model.view import View
from litetuner.reports.text.formatting import beyond, clean, latency, number, points, size, times
from litetuner.search.trial import Trial

if TYPE_CHECKING:
    from rich.console import RenderableType

    from litetuner.search.runs.record import RunRecord

LONGEST = 24  # lines of the front; the report has them all


def baseline_row(record: RunRecord) -> RenderableType:
    """The baseline on one line: what the user had."""
    view = View(record)
    row = view.baseline
    if row is None:
        return Text("baseline: not measured yet", style="dim")
    parts = [
        f"{view.metric_name} {number(row.metric)}",
        f"{size(row.compressed_bytes)} compressed",
        f"{size(row.file_bytes)} file",
        *(
            latency(value) if list(row.latency_us) == ["host"] else f"{latency(value)} on {clean(target, 24)}"
            for target, value in row.latency_us.items()
            if value is not None
        ),
    ]
    return Text.assemble(("baseline  ", "bold"), (clean(row.label, 40), "cyan"), "  ", " · ".join(parts))


def front_table(record: RunRecord) -> RenderableType:
    """The front, the best metric first, with the names of the picks."""
    view = View(record)
    named: dict[int, list[str]] = {}
    for name, trial in view.picks.items():
        named.setdefault(trial.number, []).append(name)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("recipe", overflow="fold", ratio=1, min_width=24)
    sizes = shown_sizes(record)
    for title in (view.metric_name, "loss", *sizes, "latency", "speed"):
        table.add_column(title, justify="right", no_wrap=True)
    shown = view.front if len(view.front) <= LONGEST else _thinned(view, named)
    for trial in shown:
        row = view.row(trial)
        picks = named.get(trial.number, [])
        recipe = Text(clean(row.label, 120))
        if picks:
            recipe.append(f"\n{', '.join(picks)}", "cyan")
        table.add_row(str(row.trial), recipe, *_numbers(view, row, sizes), style="bold" if "best" in picks else "")
    if len(shown) < len(view.front):
        return Group(table, Text(f"{len(shown)} of {len(view.front)} shown; the report has all.", style="dim"))
    return table


def _thinned(view: View, named: dict[int, list[str]]) -> list[Trial]:
    """The picks and an even choice of the others, in the front's order."""
    step = -(-len(view.front) // (LONGEST - len(named)))
    return [trial for at, trial in enumerate(view.front) if at % step == 0 or trial.number in named]


def shown_sizes(record: RunRecord) -> tuple[str, ...]:
    """Which sizes a table shows: the one that is optimised, and the other where a budget limits it."""
    budgeted = {budget.measurement.removesuffix("_bytes") for budget in record.budgets}
    return tuple(name for name in ("compressed", "file") if name == record.config.size or name in budgeted)


def _numbers(view: View, row: Row, sizes: tuple[str, ...]) -> tuple[str, ...]:
    return (
        number(row.metric),
        points(row.drop),
        *(size(row.compressed_bytes if name == "compressed" else row.file_bytes) for name in sizes),
        latency(row.latency_us.get(view.target)),
        times(row.latency_ratio.get(view.target)),
    )


def best_panel(record: RunRecord, next_command: str) -> RenderableType:
    """The best under the budgets against the baseline, what the test split says, the report, and what to type next."""
    view = View(record)
    if view.best is None:
        return nothing_feasible(record)
    lines = [Text.assemble((clean(view.best.label, 200), "bold cyan"), (f"  trial {view.best.trial}", "dim"))]
    headline = view.headline
    if headline is not None:
        grid = Table.grid(padding=(0, 2))
        for gain in headline.gains:
            change = f"{gain.before} → {gain.after}"
            grid.add_row(
                Text(gain.name), Text(gain.figure, style="bold"), Text(gain.words), Text(change), Text(gain.note, "dim")
            )
        found: list[RenderableType] = [*lines, Text(), grid]
        if headline.test:
            found += [Text(), Text(headline.test, style="yellow" if headline.test_misses else "")]
    else:
        found = list(lines)
    if view.unsteady_words:
        found += [Text(), Text(view.unsteady_words, style="yellow")]
    found += [Text(), Text.assemble("report  ", (clean(record.folder.report, 1000), "cyan"))]
    found += [Text.assemble("next    ", (clean(next_command, 1000), "cyan"))]
    return Panel(Group(*found), title="best", title_align="left", box=box.ROUNDED, padding=(1, 2))


def nothing_feasible(record: RunRecord) -> RenderableType:
    """Which budget blocks, what comes nearest, and what giving way would buy."""
    view = View(record)
    blocked = view.blocked
    if blocked is None:
        return Text("Something is feasible.")
    found: list[RenderableType] = [Text(blocked.reason)]
    if blocked.nearest is not None:
        row = view.row(blocked.nearest)
        found += [Text(), Text.assemble("nearest  ", (clean(row.label, 160), "cyan"), (f"  trial {row.trial}", "dim"))]
        found += [
            Text(
                f"  {item.budget.key}: {item.budget.show(item.value)}, {beyond(item.violation)} beyond {item.budget.text}"
            )
            for item in blocked.broken
        ]
    if blocked.relaxations:
        found.append(Text("\nwhat giving way would buy", style="bold"))
    for relaxation in blocked.relaxations:
        row = view.row(relaxation.trial)
        timed = latency(row.latency_us.get(view.target))
        numbers = f"{view.metric_name} {number(row.metric)}, {size(row.compressed_bytes)} compressed, {timed}"
        found.append(Text.assemble("  ", (relaxation.setting, "cyan"), f"  {clean(row.label, 60)}: {numbers}"))
    if view.unsteady_words:
        found += [Text(), Text(view.unsteady_words, style="yellow")]
    if blocked.settings:
        found += [Text(), Text.assemble("try next  the same command with ", (" ".join(blocked.settings), "cyan"))]
    return Panel(Group(*found), title="nothing is feasible", title_align="left", box=box.ROUNDED, padding=(1, 2))
