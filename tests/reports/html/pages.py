"""A report in a real browser."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
SIZE = "#chart-accuracy-size"
DRAWN = "document.querySelector('.plot .scatterlayer .point') !== null"
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
