"""A run as HTML: the numbers of the summary, nothing that a hostile name could add, and a progress bar."""

from __future__ import annotations

import re

from litetuner.reports.model.result import build_result
from litetuner.reports.notebook.html import progress_html, run_html
from litetuner.reports.text.formatting import latency, number, size
from litetuner.search.runs.record import RunRecord
from tests.reports.builder import Builder


def test_the_best_and_the_front(run_of_forty: RunRecord) -> None:
    result = build_result(run_of_forty)
    page = str(run_html(result))
    assert result.best is not None and result.best.label in page and str(run_of_forty.folder.path) in page
    for row in result.front[:3]:
        for part in (number(row.metric), size(row.compressed_bytes), latency(row.latency_us["host"])):
            assert part in page
    assert page.count("<tr>") == page.count("</tr>") and "<script" not in page


def test_names_are_text(build: Builder) -> None:
    build.add("<img src=x onerror=alert(1)>", drop=0.0, compressed=1000, file=1000, us=10.0)
    page = str(run_html(build_result(build.record())))
    assert "<img" not in page
    shown = str(progress_html(0.5, "<b>words</b>", ["<i>doing</i>"], ["<u>note</u>"]))
    assert not re.search("<(b|i|u)>", shown) and 'value="0.500"' in shown and "50%" in shown


def test_a_run_without_trials(build: Builder) -> None:
    page = str(run_html(build_result(build.record())))
    assert "no trial yet" in page and "<table" not in page
    assert "<progress" not in str(progress_html(None, "", [], []))
