"""Compare with what was recorded, or record it anew: ``pytest tests/recorded --record``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
LONGEST_DIFF = 60  # lines

Compare = Callable[[str, str], None]


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Compare:
    """``compare("name.json", text)``: the text is the recorded one; with ``--record`` it becomes it."""

    def check(name: str, text: str) -> None:
        path = DATA / name
        if request.config.getoption("--record"):
            path.write_text(text, encoding="utf-8")
            return
        known = path.read_text(encoding="utf-8")
        if known != text:
            changes = difflib.unified_diff(known.splitlines(), text.splitlines(), "recorded", "now", lineterm="", n=0)
            lines = [line[:300] for line in changes]
            pytest.fail(f"{name} changed:\n" + "\n".join(lines[:LONGEST_DIFF]) + f"\n({len(lines)} lines)")

    return check
