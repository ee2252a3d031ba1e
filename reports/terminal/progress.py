"""The terminal output during a search, as rich renderables, and the result after it."""

import shlex

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from litetuner.reports.model.result import build_result
from litetuner.reports.model.rows import make_row, shown_labels
from litetuner.reports.terminal.tables import (
    baseline_row,
    best_panel,
    doubts_panel,
    front_table,
    number_titles,
    row_cells,
)
from litetuner.reports.text.formatting import clean
from litetuner.search.runs.record import RunRecord
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.steps import layer_techniques

LONGEST = 40  # layers in the table that a search prints


def model_table(model: ModelInfo, data: DataInfo) -> RenderableType:
    """The layers of the model with their techniques, and the splits of the data.

    It is printed before the first trial.
    """
    counts = ", ".join(f"{count:,} {split}" for split, count in data.counts.items())
    lines: list[RenderableType] = [
        Text(
            f"model  {clean(model.name, 60)}: {model.parameters:,} parameters, input {model.input_shape[1:]} {model.input_dtype}"
        ),
        Text(f"data   {counts}" + (f", {data.classes} classes" if data.classes else "")),
        *([Text(f"task   {data.decision.words}")] if data.decision else []),
        *(Text(f"note   {note}", style="yellow") for note in data.notes),
    ]
    if model.bridge_refusal:
        lines.append(Text(f"note   post-training techniques only: {model.bridge_refusal}", style="yellow"))
    lines.append(layers_table(model, LONGEST))
    return Group(*lines)


def layers_table(model: ModelInfo, most: int) -> RenderableType:
    """The layers with kernels, and the techniques that each allows."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    techniques = (*layer_techniques(), "int4")
    for title in ("layer", "type", "parameters", "share", *techniques):
        numeric = title in ("parameters", "share")
        table.add_column(title, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    kernels = [layer for layer in model.layers if layer.has_kernel]
    for layer in kernels[:most]:
        able = ["yes" if layer.can(technique) else "-" for technique in techniques]
        share = f"{layer.parameters / max(1, model.parameters):.1%}"
        table.add_row(Text(clean(layer.name, 40)), layer.type, f"{layer.parameters:,}", share, *able)
    if len(kernels) <= most:
        return table
    return Group(table, Text(f"and {len(kernels) - most} more; `litetuner inspect MODEL` shows them all", style="dim"))


def live_front(record: RunRecord, rows: int) -> RenderableType:
    """The Pareto front so far in at most ``rows`` rows: all picks, then the smallest other files."""
    config, members, picked = record.config, record.front, record.picks
    named: dict[int, list[str]] = {}
    for name, trial in picked.items():
        named.setdefault(trial.number, []).append(name)
    count, members = len(members), list({trial.number: trial for trial in (*members, *picked.values())}.values())
    members = sorted(members, key=lambda trial: trial.value(config.size_measurement) or 0.0)
    places = max(0, rows - len(named))
    others = [trial.number for trial in members if trial.number not in named][:places]
    shown = [trial for trial in members if trial.number in named or trial.number in others]
    more = f", {len(shown)} shown" if len(shown) < len(members) else ""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=f"Pareto front: {count} within the budgets{more}",
        title_justify="left",
    )
    labels = shown_labels(members, 80)
    cells_shown = [(str(trial.number), *row_cells(record, make_row(trial, config.targets))) for trial in shown]
    for title, *cells in zip(("trial", *number_titles(record)), *cells_shown, strict=True):
        width = max(len(text) for text in (*title.split("\n"), *cells))  # keeps long labels from using this space
        table.add_column(title, justify="right", no_wrap=True, min_width=width)
    table.add_column("candidate", overflow="ellipsis", no_wrap=True, ratio=1)
    for trial, row in zip(shown, cells_shown, strict=True):
        picks = named.get(trial.number, [])
        label = Text(", ".join(picks) + ("  " if picks else ""), "cyan")
        label.append(labels[trial.number], "default")
        table.add_row(*row, label, style="bold" if "best" in picks else "")
    return table


def print_result(record: RunRecord) -> None:
    """Print the result to standard output: baseline, Pareto front, and the best file or the budgets that block."""
    console, result = Console(highlight=False), build_result(record)
    if record.doubts:
        console.print(doubts_panel(record.doubts))
    console.print(baseline_row(result))
    if result.picks:
        console.print(front_table(result, console.width))
    path = shlex.quote(str(record.folder.path))
    console.print(best_panel(result, f"litetuner export {path} --out exported"))
