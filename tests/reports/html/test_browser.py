"""The report in a real browser: drawn, sorted, filtered and silent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reports.html.pages import SIZE, Watched, hover, needs_browser, until

pytestmark = pytest.mark.service

# How many pixels of a canvas are drawn on.
INK = "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v).length)"


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
def test_every_pair_the_lines_and_the_volume_are_drawn(watched: Watched) -> None:
    page = watched.page
    for name in ("accuracy-size", "accuracy-latency", "latency-size", "volume"):
        page.locator(f"#chart-{name}").scroll_into_view_if_needed()
        until(page, f"document.querySelector('#chart-{name} .scatterlayer .trace') !== null")
    page.locator("#lines").scroll_into_view_if_needed()
    until(page, f"{INK}(document.getElementById('lines')) > 500")
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
    page.locator("#find").fill("int8")
    whole = "[...document.querySelectorAll('#all tbody tr')].map(row => Number(row.dataset.i))"
    assert {1, 2}.isdisjoint(page.evaluate(whole)) and {3, 15, 19, 39} < set(page.evaluate(whole))
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
def test_a_link_to_a_trial_is_permanent(browser: Any, watched: Watched) -> None:
    """Following `#trial-12` selects it, on load too; selecting another one changes the address."""
    page = watched.page
    page.evaluate("location.hash = '#trial-12'")
    until(page, "document.querySelector('#detail .who').textContent.startsWith('Trial 12')")
    page.locator("a.link[href='#trial-16']").first.click()
    until(page, "document.querySelector('#detail .who').textContent.startsWith('Trial 16')")
    page.locator("#all tbody tr[data-i='3'] td").first.click()
    assert page.evaluate("location.hash") == "#trial-3"
    other = browser.new_page()
    other.goto(watched.path.as_uri() + "#trial-12")
    until(other, "document.querySelector('#detail .who')?.textContent.startsWith('Trial 12')")
    other.close()
    page.evaluate("history.replaceState(null, '', location.pathname)")
    watched.quiet()


@needs_browser
def test_without_scripts_the_front_is_a_picture_and_links_lead_to_rows(browser: Any, watched: Watched) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(watched.path.as_uri())
    assert page.locator("svg.static .sfront").count() == 5
    page.locator("svg.static a").first.click()
    number = page.url.rpartition("#trial-")[2]
    assert page.locator(f"#all tr#trial-{number}").count() == 1
    for hidden in (".plot", "#detail", ".tools"):
        assert not page.locator(hidden).first.is_visible()
    page.context.close()


@needs_browser
def test_budgets_stand_in_the_head(watched: Watched) -> None:
    said = watched.page.locator(".budgets li").all_inner_texts()
    assert [line.partition("\n")[0] for line in said] == ["met", "met", "not proven"]
    assert "95 % interval 0.48 to 1.19 points" in said[2]


@needs_browser
def test_a_phone_scrolls_only_downwards(watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 844})
    until(watched.page, f"document.querySelector('{SIZE} .main-svg').clientWidth < 390")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert watched.page.locator("nav").is_visible()
    assert watched.page.locator("#all caption").bounding_box()["width"] <= 390 - 36
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
