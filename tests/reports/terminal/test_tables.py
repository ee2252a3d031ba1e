from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from litetuner.reports.model.result import build_result
from litetuner.reports.terminal.tables import baseline_row, best_panel, front_table, nothing_feasible
from litetuner.search.runs.record import RunRecord


def shown(*items: Any, width: int = 160) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    for item in items:
        console.print(item)
    return console.export_text()


def everything(record: RunRecord, command: str) -> list[Any]:
    result = build_result(record)
    return [baseline_row(result), front_table(result), best_panel(result, command)]


def test_baseline_front_and_best(record: RunRecord) -> None:
    text = shown(*everything(record, "litetuner export runs/x --out out"))
    for part in (
        "accuracy 0.8720 · 296.4 kB compressed",
        "best, smallest, fastest",
        "13.5×",
        "litetuner export runs/x --out out",
    ):
        assert part in text
    assert "report.html" in text.replace("\n", "")


def test_narrow_terminals_lose_nothing_but_width(record: RunRecord) -> None:
    assert " speed" in shown(front_table(build_result(record)), width=80)
    assert all(
        len(line) <= 80
        for line in shown(
            front_table(build_result(record)), best_panel(build_result(record), "next"), width=80
        ).splitlines()
    )


def test_nothing_feasible(filled: Any) -> None:
    record = filled.record(max_compressed_size="8kB")
    for text in (shown(nothing_feasible(build_result(record))), shown(best_panel(build_result(record), "next"))):
        assert "No candidate is within --max-compressed-size 8kB" in text
        assert "try next  litetuner search " in text and "--max-compressed-size 22kB" in " ".join(text.split())


def test_before_the_baseline(build: Any) -> None:
    assert "not measured yet" in shown(baseline_row(build_result(build.record())))
    assert "No trial has finished yet" in shown(nothing_feasible(build_result(build.record())))


def test_names_are_text_not_markup(hostile: RunRecord) -> None:
    text = shown(*everything(hostile, "next"))
    assert "[red]not markup[/red]" in text
    assert "\u202e" not in text and len(text) < 40_000


def test_a_long_front_is_thinned_and_keeps_the_picks(build: Any) -> None:
    for k in range(80):
        build.add(f"prune{k}+int8", drop=k / 20_000, compressed=60_000 - 500 * k, us=100.0 - k, artifact=False)
    text = shown(front_table(build_result(build.record())))
    assert len(text.splitlines()) < 32
    assert "best, smallest, fastest" in text and "of 80 shown; the report shows all" in text
