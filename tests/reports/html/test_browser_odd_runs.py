"""Reports of unusual runs in a real browser: hostile names, nothing feasible, thousands of trials, two targets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from litetuner.reports.html.draw import safe_json
from litetuner.reports.html.report import write_report
from litetuner.search.runs.record import RunRecord
from tests.reports.html.pages import SIZE, Watched, hover, needs_browser, until

pytestmark = pytest.mark.service


@needs_browser
def test_hostile_names_do_nothing(browser: Any, hostile: RunRecord) -> None:
    watched = Watched(browser, write_report(hostile))
    page = watched.page
    assert page.evaluate("window.hacked ?? null") is None
    for i in range(7):  # every trial's details, and what hangs on them
        page.locator(f"#all tbody tr[data-i='{i}'] button").click()
        assert page.locator("#detail .who").text_content().startswith(f"Trial {i}")
    for name in ("chart-accuracy-latency", "chart-latency-size", "lines"):
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
