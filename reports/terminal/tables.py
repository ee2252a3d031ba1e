"""Tables and panels of a run for the terminal, as rich renderables. Names are shown as text, never as markup."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from litetuner.reports.model.columns import estimate_of
from litetuner.reports.model.comparison import Comparison
from litetuner.reports.model.result import Result
from litetuner.reports.model.rows import Row, shown_labels
from litetuner.reports.status import is_early
from litetuner.reports.text.formatting import beyond, clean, drop_title, latency, number, points, size, times
from litetuner.search.config.config import Config
from litetuner.search.runs.record import RunRecord

NARROW = 76  # columns; in narrower terminals the speed is left out
LONGEST = 24  # rows of the Pareto front; the report shows all


def baseline_row(result: Result) -> RenderableType:
    row = result.baseline
    if row is None:
        return Text("baseline: not measured yet", style="dim")
    parts = [
        f"{result.metric_name} {number(row.metric)}",
        f"{size(row.compressed_bytes)} compressed",
        f"{size(row.file_bytes)} file",
        *(
            latency(value) if list(row.latency_us) == ["host"] else f"{latency(value)} on {clean(target, 24)}"
            for target, value in row.latency_us.items()
            if value is not None
        ),
    ]
    return Text.assemble(("baseline  ", "bold"), (clean(row.label, 40), "cyan"), "  ", " · ".join(parts))


def front_table(result: Result, width: int = 120) -> RenderableType:
    """The Pareto front, the best metric first, with pick names. ``width`` is the width of the terminal."""
    narrow = width < NARROW
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("candidate", overflow="fold", ratio=1, min_width=12 if narrow else 24)
    for title in (*number_titles(result.record), *(() if narrow else ("speed",))):
        table.add_column(title, justify="right", no_wrap=True)
    shown = _thinned(result)
    labels = shown_labels([result.record.trial(row.trial) for row in shown], 120)
    for row in shown:
        picks = result.pick_names.get(row.trial, [])
        label = Text(labels[row.trial])
        if picks:
            label.append(f"\n{', '.join(picks)}", "cyan")
        cells = (*row_cells(result.record, row), *(() if narrow else (times(row.latency_ratio.get(result.target)),)))
        table.add_row(str(row.trial), label, *cells, style="bold" if "best" in picks else "")
    notes = [f"{len(shown)} of {len(result.front)} shown; the report shows all."] if len(result.front) > LONGEST else []
    sources = {row.trial: row.latency_from.get(result.target) for row in shown}
    borrowed = ", ".join(f"{number} on the file of {source}" for number, source in sources.items() if source)
    notes += [f"* measured on another file of the same structure: {borrowed}"] if borrowed else []
    return Group(table, *(Text(note, style="dim") for note in notes)) if notes else table


def _thinned(result: Result) -> tuple[Row, ...]:
    """The rows of the Pareto front, then the picks that are not on it.

    Of a long front, only the picks and every n-th other row are kept.
    """
    front, picks = result.front, result.pick_names
    apart = tuple(result.rows[number] for number in picks if all(row.trial != number for row in front))
    if len(front) > LONGEST:
        step = -(-len(front) // (LONGEST - len(picks)))
        front = tuple(row for at, row in enumerate(front) if at % step == 0 or row.trial in picks)
    return front + apart


def number_titles(record: RunRecord) -> tuple[str, ...]:
    """The column titles for ``row_cells``. The title of the drop has two short lines."""
    drop = drop_title(record.metric.bounded).replace(", ", "\n")
    timed = "latency\n(estimate)" if estimate_of(record, record.config.latency_measurement) else "latency"
    return (clean(record.metric.name, 20), drop, *shown_sizes(record.config), timed)


def shown_sizes(config: Config) -> tuple[str, ...]:
    """The sizes that a table shows: the size that is minimized, and others that a budget limits."""
    limited = {budget.measurement.removesuffix("_bytes") for budget in config.budgets}
    return tuple(name for name in ("compressed", "file", "flash") if name == config.size or name in limited)


def row_cells(record: RunRecord, row: Row) -> tuple[str, ...]:
    """Metric, drop, the shown sizes and latency. A star marks a latency that was measured on another file."""
    target = record.config.targets[0]
    return (
        number(row.metric),
        points(row.drop, record.metric.bounded),
        *(size(row.size(f"{name}_bytes")) for name in shown_sizes(record.config)),
        latency(row.latency_us[target]) + ("*" if row.latency_from[target] else ""),
    )


def best_panel(result: Result, next_command: str) -> RenderableType:
    """The best file compared with the baseline, the test split, the budgets, the report, and the next command."""
    best, headline = result.best, result.headline
    if best is None:
        return nothing_feasible(result)
    label = clean(best.label, 200)
    found: list[RenderableType] = [Text.assemble((label, "bold cyan"), (f"  trial {best.trial}", "dim"))]
    if headline is not None:
        grid = Table.grid(padding=(0, 2))
        for gain in headline.gains:
            change = f"{gain.before} → {gain.after}"
            grid.add_row(
                Text(gain.name), Text(gain.figure, style="bold"), Text(gain.words), Text(change), Text(gain.note, "dim")
            )
        found += [Text(), grid]
        if headline.test:
            found += [Text(), Text(headline.test, style="yellow" if headline.test_misses else "")]
        if headline.remark:
            found += [Text(), Text(headline.remark, style="yellow")]
    found += budget_lines(result)
    for warning in filter(None, (result.unstable_words, result.mixed_words)):
        found += [Text(), Text(warning, style="yellow")]
    found += [Text(), Text.assemble("report  ", (clean(result.record.folder.report, 1000), "cyan"))]
    found += [Text.assemble("next    ", (clean(next_command, 1000), "cyan"))]
    return Panel(Group(*found), title="best", title_align="left", box=box.ROUNDED, padding=(1, 2))


def budget_lines(result: Result) -> list[RenderableType]:
    """A line for each budget: the value of the best file, and whether the budget is met."""
    styles = {"met": "green", "not measured": "dim"}
    lines: list[RenderableType] = [
        Text.assemble(
            "budget  ", check.words.removesuffix(check.verdict), (check.verdict, styles.get(check.verdict, "yellow"))
        )
        for check in result.checks
    ]
    return [Text(), *lines] if lines else []


def doubts_panel(sentences: Sequence[str]) -> RenderableType:
    """A panel that says why the baseline may not be what the user expects."""
    lines = Group(*(Text(clean(sentence, 500)) for sentence in sentences))
    return Panel(lines, title="WARNING: check the baseline", title_align="left", border_style="bold red", box=box.HEAVY)


def nothing_feasible(result: Result) -> RenderableType:
    """The budgets that block, the nearest candidate, and what relaxing each budget gains."""
    blocked = result.nothing_feasible
    if blocked is None:
        return Text("Some candidates are within the budgets.")
    early = is_early(result.record.trials)
    found: list[RenderableType] = [Text(blocked.reason)]
    if early:
        found.append(
            Text(f"Too early to tell: of {len(result.record.trials)} trials all are baselines and known recipes.")
        )
    for near in blocked.nearest[:1]:
        trial = (f"  trial {near.row.trial}", "dim")
        found += [Text(), Text.assemble("nearest  ", (clean(near.row.label, 160), "cyan"), trial)]
        for item in near.exceeded:
            budget = item.budget
            over = f"{beyond(item.violation)} beyond {budget.text}"
            found.append(Text(f"  {budget.key}: {item.value}, {over}"))
    if blocked.relaxations:
        found.append(Text("\nwhat relaxing each budget gains", style="bold"))
    for relaxation, *_ in blocked.relaxations:
        row = relaxation.row
        timed = latency(row.latency_us.get(result.target))
        numbers = f"{result.metric_name} {number(row.metric)}, {size(row.compressed_bytes)} compressed, {timed}"
        found.append(Text.assemble("  ", (relaxation.setting, "cyan"), f"  {clean(row.label, 60)}: {numbers}"))
    for warning in filter(None, (result.unstable_words, result.mixed_words)):
        found += [Text(), Text(warning, style="yellow")]
    if blocked.command is not None:
        found += [Text(), Text.assemble("try next  ", (blocked.command, "cyan"))]
    title = "nothing is feasible yet" if early else "nothing is feasible"
    return Panel(Group(*found), title=title, title_align="left", box=box.ROUNDED, padding=(1, 2))


def comparison_table(comparison: Comparison) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for side in comparison.sides:
        table.add_column(Text(side.name), overflow="fold", ratio=1)
    for what, *values in comparison.lines:
        table.add_row(Text(what), *(Text(value) for value in values), style="bold" if what == "best" else "")
    budgets = " ".join(comparison.budgets) or "no budgets"
    notes = [Text(note, style="yellow") for note in comparison.notes]
    return Group(Text(f"both under {clean(budgets, 300)}"), table, Text(comparison.verdict), *notes)
