"""The report in a real browser: drawn, sorted, filtered, silent, and deaf to hostile names."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litetuner.reports.html.draw import safe_json
from litetuner.reports.html.report import write_report
from litetuner.search.runs.record import RunRecord

CHROMIUM = "/usr/bin/chromium"
SIZE = "#chart-accuracy-size"
DRAWN = "document.querySelector('.plot .scatterlayer .point') !== null"
# How many pixels of a canvas are drawn on.
INK = "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v).length)"
needs_browser = pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason=f"{CHROMIUM} is not installed")


def until(page: Any, condition: str, seconds: float = 20.0) -> None:
    """Wait for a condition. (playwright's own way evaluates a string in the page, which the page's policy forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def hover(page: Any, mark: Any) -> None:
    """Point at a mark until its numbers are shown: scrolling hides them, and may end after the pointer has come."""
    mark.scroll_into_view_if_needed()
    for _ in range(20):
        page.mouse.move(2, 2)
        mark.hover(force=True)
        page.wait_for_timeout(300)
        if page.evaluate("!document.getElementById('tip').hidden"):
            return
    raise AssertionError("no numbers are shown at the mark")


class Watched:
    """A page that keeps what it complained of and asked for."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.page = browser.new_page(
            viewport={"width": 1360, "height": 1600}, color_scheme="light", reduced_motion="reduce"
        )
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
def test_charts_are_drawn_in_the_colors_of_the_reader(watched: Watched) -> None:
    page = watched.page
    assert page.locator(f"{SIZE} .scatterlayer .point").count() >= 30
    tick = f"document.querySelector('{SIZE} .xtick text').style.fill"
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(f"[{background}, {tick}]") == ["rgb(252, 252, 250)", "rgb(110, 115, 125)"]
    page.emulate_media(color_scheme="dark")
    until(page, f"{tick} === 'rgb(138, 144, 156)'")
    assert page.evaluate(background) == "rgb(18, 20, 24)"
    page.emulate_media(color_scheme="light")
    watched.quiet()


@needs_browser
def test_every_pair_the_cube_the_lines_and_the_volume_are_drawn(watched: Watched) -> None:
    page = watched.page
    for name in ("accuracy-size", "accuracy-latency", "latency-size", "volume"):
        page.locator(f"#chart-{name}").scroll_into_view_if_needed()
        until(page, f"document.querySelector('#chart-{name} .scatterlayer .trace') !== null")
    for name in ("cube", "lines"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        until(page, f"{INK}(document.getElementById('{name}')) > 500")
    before = page.evaluate("document.getElementById('cube').toDataURL()")
    page.locator("#cube").focus()
    page.keyboard.press("ArrowLeft")
    until(page, f"document.getElementById('cube').toDataURL() !== {json.dumps(before)}")
    watched.quiet()


@needs_browser
def test_the_legend_hides_kinds_of_marks_in_all_charts(watched: Watched) -> None:
    page = watched.page
    button = page.locator(".legend button[data-role=infeasible]")
    before = page.locator(f"{SIZE} .point").count()
    button.click()
    until(page, f"document.querySelectorAll('{SIZE} .point').length < 20")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    until(page, f"document.querySelectorAll('{SIZE} .point').length === {before}")
    watched.quiet()


@needs_browser
def test_columns_sort_by_mouse_and_keyboard_and_the_missing_stay_last(watched: Watched) -> None:
    page = watched.page
    column = page.locator("#all thead th", has_text="compressed")
    assert page.locator("#all thead th").nth(7).text_content() == "compressed"
    read = "Array.from(document.querySelectorAll('#all tbody tr'), row => row.cells[7].textContent)"
    column.locator("button").click()
    assert column.get_attribute("aria-sort") == "ascending"
    rising = page.evaluate(read)
    values = [size_of(text) for text in rising if text != "–"]
    assert len(values) > 30 and values == sorted(values)
    assert rising[len(values) :] == ["–"] * (40 - len(values))
    column.locator("button").focus()
    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "descending"
    falling = page.evaluate(read)
    assert [size_of(text) for text in falling[: len(values)]] == values[::-1]
    assert falling[-1] == "–"
    page.locator("#all thead th").first.locator("button").click()
    watched.quiet()


def size_of(text: str) -> float:
    value, unit = text.split()
    return float(value) * {"B": 1, "kB": 1e3, "MB": 1e6}[unit]


@needs_browser
def test_filters(watched: Watched) -> None:
    page = watched.page
    shown = "document.querySelectorAll('#all tbody tr').length"
    page.locator("#find").fill("cluster16 pcqat")
    assert page.evaluate(shown) == 2
    page.locator("#find").fill("")
    page.locator(".chip input[data-kind=infeasible]").uncheck()
    assert page.evaluate(shown) == 18
    assert page.locator("#shown").text_content() == "18 of 40 shown"
    page.locator(".chip input[data-kind=infeasible]").check()
    assert page.evaluate(shown) == 40
    watched.quiet()


@needs_browser
def test_a_click_on_a_mark_fills_the_details(watched: Watched) -> None:
    page = watched.page
    page.locator(SIZE).scroll_into_view_if_needed()
    traces = page.locator(f"{SIZE} .scatterlayer .trace")
    traces.nth(5).locator(".point").first.click(force=True)  # the baseline
    until(page, "document.getElementById('picked').textContent.includes('trial 0')")
    detail = page.locator("#detail")
    assert detail.locator(".who").text_content().startswith("Trial 0")
    assert page.locator("tr.picked-row").get_attribute("data-i") == "0"
    hover(page, traces.nth(4).locator(".point").first)  # one of the front
    assert "trial" in page.locator("#tip").text_content()
    page.locator("#all tbody tr[data-i='15']").click()
    text = detail.text_content()
    assert "Trial 15" in text and "channels0.5+prune0.7+cluster16+pcqat" in text  # the recipe
    assert "sparsity 0.7" in text and "keeps float32: dense" in text
    assert "sparsity: requested 0.7 for 4 layers, verified 0.7 to 0.703" in text
    assert "train40 s" in text and "21.9 kB" in text and "0.8545 to 0.8727" in text  # stages, numbers with intervals
    commands = detail.locator(".command code").all_text_contents()
    run = str(watched.path.parent)
    assert commands == [
        f"litetuner export {run} --trial 15 --out trial-15",
        f"litetuner rebuild {run}/trials/0015/trial.json",
    ]
    ring = page.locator(f"{SIZE} > .ring")
    assert ring.count() == 1 and ring.get_attribute("data-trial") == "15" and ring.is_visible()
    points = f"[...document.querySelectorAll('{SIZE} .trace')[4].querySelectorAll('.point')].map(p => p.getBoundingClientRect())"
    here = "(r => [r.x + r.width / 2, r.y + r.height / 2])"
    left, top = page.evaluate(f"{here}(document.querySelector('{SIZE} > .ring').getBoundingClientRect())")
    marks = page.evaluate(f"{points}.map({here})")
    assert min(abs(x - left) + abs(y - top) for x, y in marks) < 3  # it lies around one of the front
    watched.quiet()


@needs_browser
def test_a_selection_is_the_same_in_all_charts_and_the_table(watched: Watched) -> None:
    page = watched.page
    page.locator(SIZE).scroll_into_view_if_needed()
    box = page.locator(f"{SIZE} .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] - 4, steps=6)
    page.mouse.up()
    until(page, "!document.getElementById('clear').hidden")
    count = int(page.locator("#clear").text_content().rsplit(" ", 1)[1])
    assert 3 < count < 36
    assert page.locator("#all tbody tr").count() == count
    chosen = "document.querySelector('#chart-accuracy-latency').data.reduce((n, t) => n + (t.selectedpoints ?? []).length, 0)"
    assert page.evaluate(chosen) == count
    page.locator("#clear").click()
    until(page, "document.getElementById('clear').hidden")
    assert page.locator("#all tbody tr").count() == 40
    assert page.evaluate("document.querySelector('#chart-accuracy-latency').data[1].selectedpoints ?? null") is None
    lines = page.locator("#lines")
    lines.scroll_into_view_if_needed()
    box = lines.bounding_box()
    page.mouse.move(
        box["x"] + box["width"] - 76, box["y"] + box["height"] - 36
    )  # along the last axis, from its low end
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 76, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    until(page, "!document.getElementById('clear').hidden")
    assert 0 < page.locator("#all tbody tr").count() < 40
    page.locator("#clear").click()
    watched.quiet()


@needs_browser
def test_marks_of_the_front_win_and_a_cleared_selection_leaves_nothing_faded(watched: Watched) -> None:
    """Other marks may lie on those of the front; plotly alone would give the smaller one."""
    page = watched.page
    page.locator(SIZE).scroll_into_view_if_needed()
    marks = page.evaluate(
        f"""() => {{ const plot = document.querySelector("{SIZE}"), layout = plot._fullLayout;
        const trace = plot.data.find((item) => item.meta?.role === "front" && item.customdata);
        const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
        return trace.customdata.map((i, at) =>
          [i, box.left + layout.xaxis.d2p(trace.x[at]), box.top + layout.yaxis.d2p(trace.y[at])]); }}"""
    )
    assert len(marks) >= 3
    for number, x, y in marks:
        page.mouse.move(x, y)
        page.mouse.click(x, y)
        until(page, f"document.getElementById('picked').textContent.includes('trial {number}')")
    box = page.locator(f"{SIZE} .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 15, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=6)
    page.mouse.up()
    until(page, "!document.getElementById('clear').hidden")
    page.locator("#clear").click()
    until(page, "document.getElementById('clear').hidden")
    page.wait_for_timeout(500)
    faded = (
        "[...document.querySelectorAll('.js-plotly-plot')].flatMap((p) => p.data.map((t) => t.selectedpoints ?? null))"
    )
    assert set(map(str, page.evaluate(faded))) == {"None"}


@needs_browser
def test_the_keyboard_walks_along_the_front(watched: Watched) -> None:
    page = watched.page
    page.locator(SIZE).focus()
    seen = set()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        seen.add(page.locator("#picked a").text_content())
    assert len(seen) == 4
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail"
    watched.quiet()


@needs_browser
def test_a_phone_scrolls_only_downwards(watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 844})
    until(watched.page, f"document.querySelector('{SIZE} .main-svg').clientWidth < 390")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    watched.quiet()


@needs_browser
def test_hostile_names_do_nothing(browser: Any, hostile: RunRecord) -> None:
    watched = Watched(browser, write_report(hostile))
    page = watched.page
    assert page.evaluate("window.hacked ?? null") is None
    for i in range(7):  # every trial's details, and what hangs on them
        page.locator(f"#all tbody tr[data-i='{i}'] button").click()
        assert page.locator("#detail .who").text_content().startswith(f"Trial {i}")
    for name in ("chart-accuracy-latency", "chart-latency-size", "cube", "lines"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
    assert page.locator("body img").count() == 0 and page.locator("main a[href^=http]").count() == 0
    assert page.locator("script").count() == 3 and page.evaluate("window.hacked ?? null") is None
    hover(page, page.locator(f"{SIZE} .scatterlayer .point").first)
    assert page.locator("#tip a").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1360
    page.set_viewport_size({"width": 390, "height": 844})
    until(page, "document.documentElement.scrollWidth <= 390", 5)
    assert page.evaluate("window.hacked ?? null") is None
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
    watched = Watched(browser, write_report(filled.record(max_compressed_size="8kB")))
    assert "Nothing is feasible" in watched.page.locator("#headline").text_content()
    assert watched.page.pdf(format="A4").startswith(b"%PDF")
    assert watched.page.locator("#detail .who").text_content().startswith("Trial 15")  # the nearest
    watched.quiet()


@needs_browser
def test_five_thousand_trials_stay_usable(browser: Any, many: Any) -> None:
    path = write_report(many(5000))
    assert path.stat().st_size < 8_000_000
    watched = Watched(browser, path)
    page = watched.page
    assert page.locator("#all tbody tr").count() == 50  # a page of them
    time_of = "(act => { const start = performance.now(); act(); return performance.now() - start; })"
    sort = f"{time_of}(() => document.querySelectorAll('#all thead th button')[7].click())"
    assert page.evaluate(sort) < 1000  # 30 to 60 ms on an idle machine
    search = (
        "const box = document.getElementById('find'); box.value = 'prune49'; box.dispatchEvent(new Event('input'));"
    )
    assert page.evaluate(f"{time_of}(() => {{ {search} }})") < 1000
    assert page.locator("#shown").text_content() == "110 of 5000 shown"  # prune49, 490 to 499, 4900 to 4998
    watched.quiet()


def test_json_cannot_end_its_script() -> None:
    text = safe_json({"</script>": ["<!--", "\u2028\u2029", "&", float("nan")]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"</script>": ["<!--", "\u2028\u2029", "&", None]}


def test_tables_have_captions_and_heads(record: RunRecord) -> None:
    text = write_report(record).read_text()
    body = text[text.index("<body>") : text.index("</main>")]
    assert body.count("<table") == body.count("<caption>") == body.count("<thead>") > 3
    assert body.count('<th scope="row">') >= 20


@needs_browser
def test_each_target_has_its_chart_with_named_picks_and_its_own_front(browser: Any, two_targets: RunRecord) -> None:
    watched = Watched(browser, write_report(two_targets))
    page, board = watched.page, "#chart-target-1"
    page.locator(board).scroll_into_view_if_needed()
    until(page, f"document.querySelector('{board} .scatterlayer .trace') !== null")
    texts = page.locator(f"{board} .textpoint").all_text_contents()
    assert sorted(", ".join(texts).split(", ")) == ["accurate", "balanced", "best", "fastest", "robust", "smallest"]
    page.locator(board).focus()
    walked = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        walked.append(page.evaluate(f"document.querySelector('{board} .ring').dataset.trial"))
    assert walked == ["4", "2", "0"], "from the best (trial 5) along this target's own front"
    watched.quiet()


@needs_browser
def test_a_row_brings_its_details_into_view_and_a_button_leads_back(watched: Watched) -> None:
    page = watched.page
    inside = "(e => e.getBoundingClientRect().top >= -2 && e.getBoundingClientRect().top < innerHeight / 2)"
    page.locator("#all tbody tr[data-i='3'] td").first.click()  # which scrolls to it
    until(page, f"{inside}(document.getElementById('detail')) && document.activeElement.id === 'detail'")
    page.get_by_role("button", name="Back to the table").click()
    until(page, "document.activeElement.closest('tr')?.dataset.i === '3'")
    page.keyboard.press("Enter")
    until(page, "document.activeElement.id === 'detail'")
    watched.quiet()


@needs_browser
def test_the_reader_turns_columns_on(watched: Watched) -> None:
    page, heads = watched.page, watched.page.locator("#all thead th:visible")
    assert (before := heads.count()) <= 11
    page.locator("#more summary").click()
    (first := page.locator("#more input").first).check(force=True)
    assert heads.count() == before + 1
    assert page.locator("#all tbody tr").first.locator("td:visible, th:visible").count() == before + 1
    first.uncheck(force=True)
    watched.quiet()
