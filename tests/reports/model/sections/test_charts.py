"""The charts of a report: fronts of two objectives, budgets, what was stopped early."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from litetuner.reports.model.report import build_report
from litetuner.reports.model.sections.charts import staircase
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State


@pytest.mark.parametrize("minimize", [False, True])
def test_staircase_is_the_front_of_two_objectives(minimize: bool) -> None:
    sign = -1 if minimize else 1
    values = [(1, 0.5), (2, 0.4), (3, 0.9), (3, 0.8), (4, 0.9), (5, 0.95)]
    expected = ((1, 0.5), (3, 0.9), (5, 0.95))
    assert staircase([(x, sign * y) for x, y in values], minimize_y=minimize) == tuple(
        (x, sign * y) for x, y in expected
    )


def test_charts_hold_the_front_the_baseline_and_the_budgets(record: RunRecord) -> None:
    report = build_report(record)
    by_size, by_latency, both = report.charts
    assert (both.x.measurement, both.y.measurement) == ("compressed_bytes", "latency_us:host")
    assert {line.text for line in both.lines} == {"max-compressed-size 60kB", "max-latency 150us"} and both.y.minimize
    assert {p.trial for p in by_size.groups["front"]} == {row.trial for row in report.result.front}
    assert [p.trial for p in by_size.groups["baseline"]] == [0]
    assert {line.text: round(line.value, 6) for line in by_size.lines} == {
        "max-compressed-size 60kB": 60_000,
        "max-drop 1%": 0.862,
    }
    assert {line.text for line in by_latency.lines} == {"max-latency 150us", "max-drop 1%"}
    assert by_size.x_range[0] <= 21_904 and by_size.x_range[1] >= 296_412
    assert by_size.outside >= 1  # the 41 points that prune0.95 lost would squeeze all the others


def test_every_pair_of_objectives_has_a_chart(filled: Any) -> None:
    report = build_report(filled.record(objective="file_bytes"))
    assert [chart.name for chart in report.charts] == [
        "accuracy-compressed size",
        "accuracy-latency",
        "accuracy-file size",
        "latency-compressed size",
        "file size-compressed size",
        "file size-latency",
    ]
    assert all(chart.color is not None and chart.color not in (chart.x, chart.y) for chart in report.charts)


def test_what_a_probe_measured_of_a_stopped_trial_is_plotted(filled: Any) -> None:
    probed = {"probe.compressed_bytes": filled.trials[3].measurements["compressed_bytes"]}
    probed["probe.latency_us:host"] = filled.trials[3].measurements["latency_us:host"]
    filled.trials[32] = dataclasses.replace(filled.trials[32], state=State.PRUNED, gate="rung", measurements=probed)
    report = build_report(filled.record())
    assert 32 in {point.trial for point in report.charts[2].groups["stopped"]}
    assert 32 not in {point.trial for point in report.charts[0].groups["stopped"]}
    assert not any(column.name.startswith("probe") for column in report.result.columns)


def test_charts_of_a_run_without_a_feasible_trial_still_show_the_trials(filled: Any) -> None:
    for chart in build_report(filled.record(max_compressed_size="8kB")).charts:
        assert chart.groups["front"] == chart.groups["feasible"] == ()
        if chart.y.measurement != "metric":
            continue
        assert chart.outside < len(chart.groups["infeasible"]) * 0.7
        nearest = next(point for point in chart.groups["infeasible"] if point.trial == 15)
        assert chart.x_range[0] <= nearest.x <= chart.x_range[1] and chart.y_range[0] <= nearest.y <= chart.y_range[1]
