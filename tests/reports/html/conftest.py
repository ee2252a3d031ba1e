"""A real browser, and the report of the run of forty trials in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from litetuner.reports.html.report import write_report
from litetuner.search.runs.record import RunRecord
from tests.reports.html.pages import CHROMIUM, Watched


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture(scope="module")
def watched(browser: Any, run_of_forty: RunRecord) -> Watched:
    """The report of the run of forty trials, opened once for all the tests that look at it."""
    return Watched(browser, write_report(run_of_forty))
