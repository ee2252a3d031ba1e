"""A run as HTML for a notebook: plain tables in the style of the notebook. All text is escaped."""

from collections.abc import Sequence

from markupsafe import Markup

from litetuner.reports.model.result import Result
from litetuner.reports.model.rows import Row, shown_labels
from litetuner.reports.terminal.tables import number_titles, row_cells
from litetuner.reports.text.formatting import clean, times
from litetuner.search.runs.record import RunRecord

MOST_ROWS = 12  # rows of the Pareto front
CELL = "text-align:{side};padding:2px 12px 2px 0;vertical-align:top"
TABLE = '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'


def run_html(result: Result) -> Markup:
    """The number of trials, the run folder, the best file (or why nothing is feasible), and the Pareto front."""
    record = result.record
    counts = ", ".join(f"{count} {name.lower()}" for name, count in record.counts.items()) or "no trial yet"
    name, path = clean(record.model.name, 60), clean(record.folder.path, 300)
    parts = [Markup("<p><b>{}</b>: {}<br><code>{}</code></p>").format(name, counts, path)]
    if result.headline is not None and result.best is not None:
        gains = ", ".join(
            f"{gain.figure} {gain.words} ({gain.before} → {gain.after})" for gain in result.headline.gains
        )
        best = (clean(result.best.label, 160), result.best.trial, gains)
        parts.append(Markup("<p>best: <b>{}</b> (trial {})<br>{}</p>").format(*best))
    elif result.nothing_feasible is not None and record.trials:
        parts.append(Markup("<p>{}</p>").format(result.nothing_feasible.reason))
    if result.front:
        picks = result.pick_names
        kept = [row for row in result.front if row.trial in picks]
        others = [row for row in result.front if row.trial not in picks][: max(0, MOST_ROWS - len(kept))]
        shown = [row for row in result.front if row in kept or row in others]
        parts.append(front_html(record, shown, picks, len(result.front)))
    return Markup("").join(parts)


def front_html(record: RunRecord, rows: Sequence[Row], picks: dict[int, list[str]], count: int) -> Markup:
    """A table of rows of the Pareto front with pick names. ``count`` is the total number of files on the front."""
    titles = [title.replace("\n", " ") for title in number_titles(record)]
    head = Markup("").join(_cell(title, "th", at) for at, title in enumerate(["trial", *titles, "speed", "candidate"]))
    labels = shown_labels([record.trial(row.trial) for row in rows], 120)
    lines = []
    for row in rows:
        named = ", ".join(picks.get(row.trial, []))
        label = Markup("{}<br><small>{}</small>").format(labels[row.trial], named) if named else labels[row.trial]
        speed = times(row.latency_ratio.get(record.config.targets[0]))
        cells = [str(row.trial), *row_cells(record, row), speed, label]
        inner = Markup("").join(_cell(text, "td", at, len(titles) + 2) for at, text in enumerate(cells))
        lines.append(Markup("<tr>{}</tr>").format(inner))
    caption = f"Pareto front: {count} file{'s' * (count != 1)} within the budgets" + (
        f", {len(rows)} shown" if len(rows) < count else ""
    )
    table = Markup("<caption style='text-align:left'>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>")
    return Markup(TABLE) + table.format(caption, head, Markup("").join(lines))


def _cell(text: object, tag: str, at: int, last: int = -1) -> Markup:
    side = "left" if at == last or text == "candidate" else "right"
    return Markup(f'<{tag} style="{CELL.format(side=side)}">{{}}</{tag}>').format(text)


def progress_html(share: float | None, words: str, doing: Sequence[str], notes: Sequence[str]) -> Markup:
    """The current work of a search, with a progress bar for the ``share`` that is done (0 to 1)."""
    bar = Markup("")
    if share is not None:
        bar = Markup('<progress value="{:.3f}" max="1" style="width:16em"></progress> {:.0%}&ensp;').format(
            share, share
        )
    lines = [Markup("<div>{}{}</div>").format(bar, words)]
    lines += [Markup("<div>now: {}</div>").format(text) for text in doing]
    lines += [Markup("<div><small>{}</small></div>").format(text) for text in notes]
    return Markup("").join(lines)
