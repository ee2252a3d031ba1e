"""One run's numbers in the terminal, ``summary.json``, ``trials.csv``, the report and the model cards, compared."""

from __future__ import annotations

import csv
import html as escapes
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from litetuner.reports.export.export import export
from litetuner.reports.html.report import write_report
from litetuner.reports.model.result import build_result
from litetuner.reports.terminal.progress import live_front
from litetuner.reports.terminal.tables import baseline_row, best_panel, front_table
from litetuner.reports.terminal.trial_rows import trial_line
from litetuner.reports.text.formatting import latency, number, points, size, times
from litetuner.search.runs.record import RunRecord


@pytest.fixture(scope="module")
def written(run_of_forty: RunRecord) -> dict[str, Any]:
    """All that is written and shown of one run."""
    page = write_report(run_of_forty).read_text()
    folder = run_of_forty.folder.path
    with (folder / "trials.csv").open() as file:
        lines = {int(line["trial"]): line for line in csv.DictReader(file)}
    console = Console(width=220, record=True, file=io.StringIO())
    console.print(
        baseline_row(build_result(run_of_forty)),
        front_table(build_result(run_of_forty)),
        best_panel(build_result(run_of_forty), "next"),
    )
    live = Console(width=220, record=True, file=io.StringIO())
    live.print(live_front(run_of_forty, 100))
    return {
        "page": page,
        "summary": json.loads((folder / "summary.json").read_text()),
        "csv": lines,
        "terminal": console.export_text(),
        "live": live.export_text(),
    }


def row_numbers(row: dict[str, Any]) -> list[str]:
    """A row's numbers as people read them, in the order of the terminal's columns."""
    return [
        number(row["metric"]),
        points(row["drop"]),
        size(row["compressed_bytes"]),
        latency(row["latency_us"]["host"]),
    ]


def line_of(text: str, trial: int) -> str:
    """The table's line of a trial."""
    (found,) = [line for line in text.splitlines() if re.match(rf"\s*{trial}\s", line)]
    return found


def test_the_table_holds_what_the_summary_says(written: dict[str, Any]) -> None:
    summary = written["summary"]
    for row in [*summary["front"], summary["baseline"], *summary["picks"].values()]:
        line = written["csv"][row["trial"]]
        flat = {
            name: value for name, value in row.items() if not isinstance(value, dict | list) and "interval" not in name
        }
        flat |= {f"{name}_host": row[name]["host"] for name in ("latency_us", "latency_ratio")}
        for name in ("metric_interval", "test_drop_interval"):
            low, high = row[name] or (None, None)
            flat |= {f"{name}_low": low, f"{name}_high": high}
        for name, value in flat.items():
            told = line[name]
            assert told == "" if value is None else told == str(value) or float(told) == value, (row["trial"], name)


def test_terminal_and_live_view_show_what_the_summary_says(written: dict[str, Any], run_of_forty: RunRecord) -> None:
    summary = written["summary"]
    assert [row["trial"] for row in summary["front"]] == [trial.number for trial in run_of_forty.front]
    for row in summary["front"]:
        shown = row_numbers(row)
        for text in (written["terminal"], written["live"]):
            line = line_of(text, row["trial"])
            positions = [line.index(part) for part in shown]
            assert positions == sorted(positions), line
        assert times(row["latency_ratio"]["host"]) in line_of(written["terminal"], row["trial"])
        as_told = trial_line(run_of_forty.trial(row["trial"]), run_of_forty.trials)
        assert all(part in as_told for part in shown)
    base = summary["baseline"]
    first = written["terminal"].splitlines()[0]
    for part in (number(base["metric"]), size(base["compressed_bytes"]), latency(base["latency_us"]["host"])):
        assert part in first
    best = written["terminal"].partition("─ best ─")[2]
    for part in (
        size(summary["best"]["compressed_bytes"]),
        number(summary["best"]["metric"]),
        summary["best"]["label"],
    ):
        assert part in best


def test_the_report_shows_what_the_summary_says(written: dict[str, Any]) -> None:
    page = escapes.unescape(written["page"].replace("<wbr>", "").replace("\u00a0", " "))
    summary = written["summary"]
    for row in (summary["best"], summary["baseline"]):
        for part in (number(row["metric"]), size(row["compressed_bytes"]), latency(row["latency_us"]["host"])):
            assert part in page
    gap = summary["conversion"]
    assert gap["samples"] == 4800 and number(gap["keras_metric"]) == "0.8722"
    assert page.count(f"{number(gap['keras_metric'])} on 4,800 samples of the search split") == 2, (
        "result, and how it was made"
    )
    for row in summary["front"]:
        assert row["label"] in page
        for part in row_numbers(row):
            assert part in page, (row["trial"], part)


def test_each_model_card_shows_what_the_summary_says(
    written: dict[str, Any], run_of_forty: RunRecord, tmp_path: Path
) -> None:
    base = written["summary"]["baseline"]
    for name, row in written["summary"]["picks"].items():
        folder = export(run_of_forty, pick=name, out=tmp_path / name).parent
        card = (folder / "MODEL_CARD.md").read_text()
        numbers = card.partition("## Numbers")[2].partition("## Budgets")[0]
        lines = {line.split("|")[1].strip(): line for line in numbers.splitlines() if line.startswith("| ")}
        low, high = row["metric_interval"]
        for what, parts in {
            "accuracy, search split": (
                number(row["metric"]),
                number(base["metric"]),
                f"{number(low)} to {number(high)}",
            ),
            "drop, points, search split": (points(row["drop"]),),
            "compressed size (zlib 9)": (
                size(row["compressed_bytes"]),
                f"{row['compressed_bytes']} bytes",
            ),
            "file size": (size(row["file_bytes"]), f"{row['file_bytes']} bytes"),
            "latency on host": (latency(row["latency_us"]["host"]), times(row["latency_ratio"]["host"])),
        }.items():
            assert all(part in lines[what] for part in parts), (name, what, lines[what])
        assert f"{number(written['summary']['conversion']['keras_metric'])} on 4,800 samples" in numbers
        told = json.loads((folder / "provenance.json").read_text())
        assert told["measured_sha256"] == row["sha256"] and row["sha256"] in card
        assert told["measurements"]["metric"]["value"] == row["metric"]
