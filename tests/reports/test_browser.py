"""The report in a real browser: drawn, sorted, filtered, silent, and deaf to hostile names."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litetuner.reports.draw import safe_json
from litetuner.reports.html import write_report
from litetuner.search.record import RunRecord

CHROMIUM = "/usr/bin/chromium"
DRAWN = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.scatterlayer .point'))"
needs_browser = pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason=f"{CHROMIUM} is not installed")


def until(page: Any, condition: str, seconds: float = 20.0) -> None:
    """Wait for a condition. (playwright's own way evaluates a string in the page, which the page's policy forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


class Watched:
    """A page that keeps what it complained of and asked for."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.page = browser.new_page(viewport={"width": 1360, "height": 1600}, color_scheme="light")
        self.path = path
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        until(self.page, DRAWN)

    def quiet(self) -> None:
        assert self.said == []
        assert self.asked == [self.path.as_uri()]


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


@needs_browser
def test_charts_are_drawn_in_the_colours_of_the_reader(watched: Watched) -> None:
    page = watched.page
    assert page.locator("#chart-size .scatterlayer .point").count() >= 30
    tick = "document.querySelector('#chart-size .xtick text').style.fill"
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(f"[{background}, {tick}]") == ["rgb(252, 252, 250)", "rgb(110, 115, 125)"]
    page.emulate_media(color_scheme="dark")
    until(page, f"{tick} === 'rgb(138, 144, 156)'")
    assert page.evaluate(background) == "rgb(18, 20, 24)"
    page.emulate_media(color_scheme="light")
    watched.quiet()


@needs_browser
def test_the_legend_hides_kinds_of_marks_in_all_charts(watched: Watched) -> None:
    page = watched.page
    button = page.locator(".legend button[data-role=infeasible]")
    before = page.locator("#chart-size .point").count()
    button.click()
    until(page, "document.querySelectorAll('#chart-size .point').length < 20")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    until(page, f"document.querySelectorAll('#chart-size .point').length === {before}")
    watched.quiet()


@needs_browser
def test_columns_sort_by_mouse_and_keyboard_and_the_missing_stay_last(watched: Watched) -> None:
    page = watched.page
    column = page.locator("#all thead th", has_text="deflated")
    assert page.locator("#all thead th").nth(7).text_content() == "deflated"
    read = "Array.from(document.querySelectorAll('#all tbody tr'), row => row.cells[7].dataset.v ?? null)"
    column.locator("button").click()
    assert column.get_attribute("aria-sort") == "ascending"
    rising = page.evaluate(read)
    values = [float(value) for value in rising if value is not None]
    assert len(values) > 30 and values == sorted(values)
    assert rising[len(values) :] == [None] * (40 - len(values))
    column.locator("button").focus()
    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "descending"
    falling = page.evaluate(read)
    assert [float(value) for value in falling[: len(values)]] == values[::-1]
    assert falling[-1] is None
    watched.quiet()


@needs_browser
def test_filters_and_a_click_on_a_mark(watched: Watched) -> None:
    page = watched.page
    shown = "document.querySelectorAll('#all tbody tr:not([hidden])').length"
    page.locator("#find").fill("cluster16 pcqat")
    assert page.evaluate(shown) == 2
    page.locator("#find").fill("")
    page.locator(".chip input[value=infeasible]").uncheck()
    assert page.evaluate(shown) == 18
    assert page.locator("#shown").text_content() == "18 of 40 shown"
    traces = page.locator("#chart-size .scatterlayer .trace")
    traces.nth(5).locator(".point").first.click(force=True)  # the baseline
    until(page, "document.getElementById('picked').textContent.includes('trial 0')")
    assert page.locator("tr.picked-row").get_attribute("id") == "t0"
    page.locator("#picked a").hover()
    traces.nth(4).locator(".point").first.hover(force=True)  # one of the front
    page.wait_for_selector("#chart-size .hoverlayer .hovertext")
    assert "trial" in page.locator("#chart-size .hoverlayer").text_content()
    watched.quiet()


@needs_browser
def test_a_phone_scrolls_only_downwards(watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 844})
    until(watched.page, "document.querySelector('#chart-size .main-svg').clientWidth < 390")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    watched.quiet()


@needs_browser
def test_hostile_names_do_nothing(browser: Any, hostile: RunRecord) -> None:
    watched = Watched(browser, write_report(hostile))
    page = watched.page
    assert page.evaluate("window.hacked ?? null") is None
    assert page.locator("body img").count() == 0 and page.locator("main a[href^=http]").count() == 0
    assert page.locator("script").count() == 3
    page.locator("#chart-size .scatterlayer .point").first.hover(force=True)
    page.wait_for_selector("#chart-size .hoverlayer .hovertext")
    assert page.locator(".hoverlayer a").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1360
    page.set_viewport_size({"width": 390, "height": 844})
    until(page, "document.documentElement.scrollWidth <= 390", 5)
    watched.quiet()


@needs_browser
def test_a_script_that_got_in_would_not_run(browser: Any, record: RunRecord, tmp_path: Path) -> None:
    foreign = "<script>window.hacked=1</script><img src='http://127.0.0.1:9/x'></main>"
    path = tmp_path / "bad.html"
    path.write_text(write_report(record).read_text().replace("</main>", foreign))
    watched = Watched(browser, path)
    assert watched.page.evaluate("window.hacked ?? null") is None
    assert sum("Content Security Policy" in line for line in watched.said) >= 2  # the script and the image


@needs_browser
def test_nothing_feasible_is_shown_and_prints(browser: Any, filled: Any) -> None:
    watched = Watched(browser, write_report(filled.record(max_deflated="8kB")))
    assert "Nothing fits all budgets" in watched.page.locator("#headline").text_content()
    assert watched.page.pdf(format="A4").startswith(b"%PDF")
    watched.quiet()


def test_json_cannot_end_its_script() -> None:
    text = safe_json({"</script>": ["<!--", "\u2028\u2029", "&", float("nan")]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"</script>": ["<!--", "\u2028\u2029", "&", None]}


def test_tables_have_captions_and_heads(record: RunRecord) -> None:
    text = write_report(record).read_text()
    body = text[text.index("<body>") : text.index("</main>")]
    assert body.count("<table") == body.count("<caption>") == body.count("<thead>") > 3
    assert body.count('<th scope="row">') >= 40
