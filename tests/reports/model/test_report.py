from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from litetuner.reports.files.summary import summary
from litetuner.reports.files.trials_csv import write_csv
from litetuner.reports.html.report import write_report
from litetuner.reports.html.sections import SECTIONS
from litetuner.reports.model.report import build_report
from litetuner.reports.model.result import build_result
from litetuner.reports.text.formatting import latency
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State

ROW = ["trial", "label", "state", "metric", "metric_interval", "drop", "test_metric", "test_drop", "test_drop_interval"]
ROW += [
    "file_bytes",
    "compressed_bytes",
    "flash_bytes",
    "latency_us",
    "latency_interval_us",
    "latency_ratio",
    "latency_from",
]
ROW += ["arena_bytes", "memory_bytes", "peak_rss_bytes", "macs", "energy_estimate_uj", "energy_uj", "delegates"]
ROW += ["artifact", "sha256"]


def test_summary_is_the_contract(record: RunRecord) -> None:
    found = summary(record)
    keys = (
        "schema_version run model metric objectives budgets budget_checks baseline conversion best picks "
        "front fronts counts seconds environment"
    )
    assert list(found) == keys.split()
    assert found["schema_version"] == 1
    assert found["metric"] == {"name": "accuracy", "direction": "maximize"}
    assert [list(row) for row in (found["baseline"], found["best"], *found["front"])] == [ROW] * (
        2 + len(found["front"])
    )
    assert set(found["picks"]) == {"best", "accurate", "balanced", "smallest", "fastest"}
    assert found["picks"]["best"] == found["best"]
    assert found["best"]["label"] == "channels0.5+prune0.7+cluster16+pcqat + int8"
    assert found["baseline"]["latency_us"] == {"host": 254.3}
    assert list(found["seconds"]) == ["train", "convert", "score", "time", "other", "wall"]
    assert sum(found["counts"].values()) == 39  # 40 less one duplicate
    assert set(found["counts"]) == {str(state) for state in State}
    json.dumps(found, allow_nan=False)


def test_what_was_not_measured_is_null(record: RunRecord) -> None:
    row = build_result(record).rows[32].to_json()
    empty = [
        "metric",
        "metric_interval",
        "drop",
        "test_metric",
        "test_drop",
        "file_bytes",
        "compressed_bytes",
        "artifact",
    ]
    assert [row[name] for name in empty] == [None] * len(empty)
    assert row["latency_us"] == row["latency_ratio"] == row["latency_interval_us"] == {"host": None}


def test_headline(record: RunRecord) -> None:
    headline = build_result(record).headline
    assert headline is not None
    assert [(g.figure, g.words) for g in headline.gains] == [
        ("13.5×", "smaller"),
        ("6.6×", "faster"),
        ("0.83", "points drop"),
    ]
    assert "accuracy is 0.8589, a drop of 0.91 points" in (headline.test or "")
    assert not headline.test_misses


def test_at_another_speed_of_the_machine_the_baseline_beside_the_file_is_shown(filled: Any) -> None:
    """The ratio is from turns with the baseline, which may have been timed at another speed before."""
    del filled.trials[1:]
    filled.add("int8", drop=0.001, compressed=20_000, us=30.0)
    usual = build_result(filled.record()).headline
    assert usual is not None and "another speed" not in usual.gains[1].note
    measured = filled.trials[-1].measurements
    measured["latency_us:host"] = dataclasses.replace(measured["latency_us:host"], value=45.0)
    found = build_result(filled.record()).headline
    assert found is not None
    ratio = measured["latency_ratio:host"].value
    assert found.gains[1].figure == usual.gains[1].figure and found.gains[1].before == latency(45.0 * ratio)
    assert f"at another speed of the machine the baseline took {usual.gains[1].before}" in found.gains[1].note


def test_a_winner_that_misses_the_bound_on_test_is_said_to(filled: Any) -> None:
    filled.add("int8", drop=0.001, compressed=20_000, us=30.0, test_drop=0.012)
    headline = build_result(filled.record()).headline
    assert headline is not None and headline.test_misses
    assert "not within --max-drop 1%; the best is not replaced" in (headline.test or "")


def test_the_headline_says_how_sure_the_limit_is_on_new_data(filled: Any) -> None:
    sure = build_result(filled.record()).headline
    assert (
        sure is not None and "standard errors to the limit on accuracy, so that it holds on new data too" in sure.rule
    )
    del filled.trials[1:]
    filled.add("int8", drop=0.0098, compressed=20_000, us=30.0)
    unsure = build_result(filled.record()).headline
    assert (
        unsure is not None
        and "none with enough margin to the limit on accuracy to hold on new data too (not proven)" in unsure.rule
    )


def test_a_much_faster_file_that_is_nearly_as_small_as_the_best_is_named(filled: Any) -> None:
    del filled.trials[1:]
    filled.add("int4", drop=0.002, compressed=20_000, us=60.0)
    filled.add("int8", drop=0.004, compressed=20_400, us=20.0)
    budgets = {"max_latency": None, "max_compressed_size": None, "max_drop": "3%"}
    headline = build_result(filled.record(**budgets)).headline
    assert headline is not None and headline.remark is not None
    assert headline.remark.startswith("Trial 2 (int8) is 3.0× faster: accuracy 0.86") and "--trial 2" in headline.remark
    assert "size 20.4 kB instead of 20.0 kB" in headline.remark
    for other in (budgets | {"max_latency": "1ms"}, budgets | {"max_drop": None}):
        found = build_result(filled.record(**other)).headline
        assert found is not None and found.remark is None


def test_a_best_that_is_the_baseline_itself_says_so(filled: Any) -> None:
    del filled.trials[1:]
    alone = build_result(filled.record(max_latency=None, max_compressed_size=None)).headline
    assert alone is not None and alone.remark is not None and "Only the baseline has been measured" in alone.remark
    assert alone.gains[1].words == "no measurable difference"


def test_nothing_feasible_names_the_budget_and_what_giving_way_buys(filled: Any) -> None:
    result = build_result(filled.record(max_compressed_size="8kB"))
    blocked = result.nothing_feasible
    assert result.best is None and result.headline is None and blocked is not None
    assert blocked.reason == "No candidate is within --max-compressed-size 8kB (best value of any candidate: 9.80 kB)."
    assert [(r.row.trial, r.setting) for r, *_ in blocked.relaxations] == [(15, "--max-compressed-size 22kB")]
    relaxed = build_result(filled.record(max_compressed_size="22kB"))
    assert relaxed.best is not None and relaxed.best.trial == 15  # as said


def test_nothing_feasible_when_budgets_block_each_other(filled: Any) -> None:
    blocked = build_result(
        filled.record(max_compressed_size="21kB", max_drop="0.5%", max_latency="45us")
    ).nothing_feasible
    assert blocked is not None
    assert blocked.nearest[0].row.trial == 15
    assert [item.budget.key for item in blocked.nearest[0].exceeded] == ["max-compressed-size", "max-drop"]
    ((relaxation, *_),) = blocked.relaxations
    assert relaxation.setting == "--max-drop 6.4%" and relaxation.row.trial == 36


def test_no_single_budget_helps(build: Any) -> None:
    build.add("float32", drop=0.0, compressed=100_000, us=200.0)
    build.add("a", drop=0.02, compressed=60_000, us=90.0)
    blocked = build_result(
        build.record(max_compressed_size="50kB", max_drop="1%", max_latency="100us")
    ).nothing_feasible
    assert blocked is not None
    assert blocked.relaxations == ()
    assert blocked.nearest[0].row.trial == 1
    assert blocked.settings == ("--max-compressed-size 60kB", "--max-drop 2%")


def test_nothing_scored_and_nothing_tried(build: Any) -> None:
    assert build_result(build.record()).nothing_feasible.reason.startswith("No trial has finished yet")
    assert summary(build.record())["baseline"] is None
    build.add("x", State.FAILED, reason="no")
    blocked = build_result(build.record()).nothing_feasible
    assert "No candidate could be scored" in blocked.reason and blocked.settings == ()
    write_report(build.record())


def test_every_section_draws_every_kind_of_run(filled: Any, build: Any, hostile: RunRecord) -> None:
    records = [
        filled.record(),
        filled.record(max_compressed_size="1B"),
        filled.record(max_drop=None, max_compressed_size=None, max_latency=None),
    ]
    for record in (*records, hostile):
        report = build_report(record)
        for name, section in SECTIONS.items():
            content = section().render(report)
            assert content is None or str(content.html).strip(), name
    orders = [section.order for section in SECTIONS.values()]
    assert orders == sorted(orders) and len(set(orders)) == len(orders)


def test_regression_metrics_count_in_the_other_direction(filled: Any) -> None:
    record = filled.record(metric="rmse", max_drop="200%")
    report = build_report(record)
    (line,) = [line for line in report.charts[0].lines if line.text == "max-drop 200%"]
    assert line.value == pytest.approx(0.8720 * 3)  # relative, and worse is more
    headline = report.result.headline
    assert headline is not None and headline.gains[2].words in ("relative drop", "relative gain")


def test_more_targets_each_have_their_columns(build: Any) -> None:
    build.target = "pi"
    build.add("float32", drop=0.0, compressed=100_000, us=200.0)
    result = build_result(build.record(target="pi=ssh://pi.local,host", max_latency=None))
    assert result.baseline is not None
    assert result.baseline.latency_us == {"pi": 200.0, "host": None}
    assert {"latency_us_pi", "latency_us_host", "latency_interval_us_pi_low"} <= set(
        write_csv(result).splitlines()[0].split(",")
    )


def test_duplicates_are_shown_but_not_counted(record: RunRecord) -> None:
    report = build_report(record)
    assert report.trials[35].why == "same candidate as trial 7"
    assert all(point.trial != 35 for chart in report.charts for group in chart.groups.values() for point in group)


def test_report_of_a_thousand_trials_is_quick(many: Callable[[int], RunRecord]) -> None:
    record = many(1000)
    start = time.process_time()
    path = write_report(record)
    assert time.process_time() - start < 3  # processor seconds: other tests may share the machine
    assert path.stat().st_size < 8_000_000


def test_a_record_whose_choices_cannot_be_read_costs_the_importance_not_the_report(filled: Any) -> None:
    first = filled.trials[7]
    name, entry = next(iter(first.params.items()))
    odd = first.params | {name: entry | {"distribution": '{"name": "<b>Odd</b>", "attributes": {"choices": 3}}'}}
    filled.trials[7] = dataclasses.replace(first, params=odd)
    record = filled.record()
    choices = build_report(record).choices
    assert choices.ranked == () and "trial 7" in choices.problem
    page = write_report(record).read_text()
    assert "The importance of choices is not available: the choices in the record of trial 7 cannot be read" in page
    assert "&lt;b&gt;Odd" in page and "<b>Odd" not in page
    assert 'id="lines"' in page, "all choices are still drawn"
