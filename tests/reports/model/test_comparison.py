from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from litetuner.reports.html.comparison import comparison_page
from litetuner.reports.model.comparison import compare
from litetuner.reports.terminal.tables import comparison_table
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord
from litetuner.spaces.errors import ConfigError, RunError
from tests.reports.builder import BASE, Builder
from tests.reports.names import HOSTILE


def run(path: Path, *candidates: tuple[str, float, int, float], **config: Any) -> RunRecord:
    """A run with its baseline and candidates (label, drop, compressed bytes, microseconds)."""
    build = Builder(RunFolder(path))
    build.add("float32", drop=0.0, compressed=BASE["compressed"], file=BASE["file"], us=BASE["us"], artifact=False)
    for label, drop, compressed, us in candidates:
        build.add(label, drop=drop, compressed=compressed, us=us, artifact=False)
    return build.record(**config)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[RunRecord, RunRecord]:
    """The second run has all that the first has, and something better."""
    shared = [("int8", 0.002, 58_000, 78.0), ("prune0.9+int8", 0.02, 20_000, 78.0)]
    return run(tmp_path / "one", *shared), run(tmp_path / "two", *shared, ("cluster16+int8", 0.004, 30_000, 77.0))


def shown(*items: Any, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    for item in items:
        console.print(item)
    return console.export_text()


def test_the_front_that_covers_more_wins(pair: tuple[RunRecord, RunRecord]) -> None:
    found = compare(*pair)
    one, two = found.sides
    assert found.budgets == ("--max-compressed-size 60kB", "--max-latency 150us", "--max-drop 1%")
    assert 0 < one.volume < two.volume < 1
    assert (one.ahead, two.ahead) == (0, 1), "what both have is nobody's lead"
    assert one.best is not None and two.best is not None
    assert (one.best.label, two.best.label) == ("int8", "cluster16 + int8")
    assert found.verdict == f"The Pareto front of two has {100 * (two.volume / one.volume - 1):.1f} % more hypervolume."
    assert compare(pair[0], pair[0]).verdict == "Both Pareto fronts have the same hypervolume."


def test_other_budgets_judge_both_runs_anew(pair: tuple[RunRecord, RunRecord]) -> None:
    found = compare(*pair, {"max_drop": "3%", "max_latency": ()})
    assert found.budgets == ("--max-drop 3%",)
    assert [side.best.label for side in found.sides if side.best] == ["prune0.9 + int8"] * 2
    nothing = compare(*pair, {"max_compressed_size": "1kB"})
    assert [side.best for side in nothing.sides] == [None, None]
    assert "Neither run has a file" in nothing.verdict
    with pytest.raises(ConfigError, match="max-drop"):
        compare(*pair, {"max_drop": "3"})


def test_runs_whose_numbers_mean_something_else_are_refused(pair: tuple[RunRecord, RunRecord], tmp_path: Path) -> None:
    first, second = pair
    other = dataclasses.replace(second, model=dataclasses.replace(second.model, sha256="c" * 64))
    with pytest.raises(RunError, match="model: aaaaaaaaaaaaaaaa and cccccccccccccccc"):
        compare(first, other)
    metric = run(tmp_path / "metric", ("int8", 0.002, 58_000, 78.0), metric="macro-f1")
    with pytest.raises(RunError, match="metric: accuracy and macro-f1"):
        compare(first, metric)
    build = Builder(RunFolder(tmp_path / "base"))
    build.add("float32", drop=0.01, compressed=90_000, us=100.0, artifact=False)
    with pytest.raises(
        RunError, match=r"the baseline's metric: 0\.872 and 0\.862; the baseline's compressed size: 296412 and"
    ):
        compare(first, build.record())
    with pytest.raises(RunError, match="no baseline yet"):
        compare(first, Builder(RunFolder(tmp_path / "empty")).record())


def test_what_a_reader_should_know(pair: tuple[RunRecord, RunRecord]) -> None:
    first, second = pair
    elsewhere = dataclasses.replace(second, environment={"cpu": "another"}, seconds={"wall": 9000.0})
    notes = " ".join(compare(first, elsewhere).notes)
    assert "different machines" in notes and "more time" in notes


def test_terminal_page_and_json_show_the_same_numbers(pair: tuple[RunRecord, RunRecord]) -> None:
    found = compare(*pair)
    text, page = shown(comparison_table(found)), comparison_page(found)
    for what, *values in found.lines:
        for shown_value in (what.strip(), *values):
            assert shown_value in text and shown_value.replace("+", "+") in page
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    for side, record in zip(found.sides, told["runs"], strict=True):
        assert record["hypervolume"] == side.volume and record["best"]["trial"] == side.best.trial  # type: ignore[union-attr]
    assert all(len(line) <= 80 for line in shown(comparison_table(found), width=80).splitlines())


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = run(tmp_path / "one", (HOSTILE, 0.002, 50_000, 60.0))
    page = comparison_page(compare(evil, run(tmp_path / "two", ("[red]x[/red]", 0.003, 40_000, 70.0))))
    # The library itself holds such text in strings: look at the page without it.
    before, _, rest = page.partition('<script type="application/json"')
    assert "<img" not in before + rest.partition("</script>")[0] and "window.hacked=1</script>" not in page
    assert "\u202e" not in page
