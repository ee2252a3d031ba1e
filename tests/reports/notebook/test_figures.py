"""The figures of a run: the points of the report's charts, and clear errors where there is nothing to draw."""

from __future__ import annotations

import pytest

from litetuner.reports.html.sections.front import NAMES
from litetuner.reports.model.result import build_result
from litetuner.reports.model.sections.charts import find_charts
from litetuner.reports.model.sections.choices import find_choices
from litetuner.reports.notebook.figures import (
    front_figure,
    history_figure,
    importance_figure,
    layers_figure,
    parallel_figure,
)
from litetuner.search.runs.record import RunRecord
from litetuner.spaces.errors import ConfigError, RunError
from tests.reports.builder import Builder


def test_the_front_has_the_points_budgets_and_range_of_the_report(run_of_forty: RunRecord) -> None:
    result = build_result(run_of_forty)
    chart = find_charts(run_of_forty, frozenset(row.trial for row in result.front))[0]
    drawn = front_figure(result).to_plotly_json()
    traces = {trace["name"]: trace for trace in drawn["data"] if "name" in trace}
    for group, name in NAMES.items():
        points = chart.groups[group]
        if points:
            assert list(traces[name]["x"]) == [point.x for point in points], name
            assert list(traces[name]["customdata"]) == [point.trial for point in points], name
    assert len(drawn["layout"]["shapes"]) == len(chart.lines) > 0
    step = next(trace for trace in drawn["data"] if trace["mode"] == "lines")
    assert list(zip(step["x"], step["y"], strict=True)) == list(chart.steps)


def test_another_chart_by_its_name(run_of_forty: RunRecord) -> None:
    result = build_result(run_of_forty)
    names = [chart.name for chart in find_charts(run_of_forty, frozenset())]
    assert len(names) == 3
    titles = {front_figure(result, name).layout.title.text for name in names}
    assert len(titles) == 3
    with pytest.raises(ConfigError, match=f"did you mean '{names[0]}'"):
        front_figure(result, names[0][:-1])


def test_parallel_coordinates_have_every_scored_trial_once(run_of_forty: RunRecord) -> None:
    result = build_result(run_of_forty)
    trace = parallel_figure(result).data[0]
    scored = [trial for trial in run_of_forty.trials if trial.state.scored and trial.duplicate_of is None]
    lengths = {len(dimension["values"]) for dimension in trace.dimensions}
    assert len(lengths) == 1 and 0 < lengths.pop() <= len(scored)
    labels = [dimension["label"] for dimension in trace.dimensions]
    assert labels[-3] == "accuracy" and len(labels) == len(find_choices(run_of_forty).axes) + 3


def test_history_and_what_is_missing(run_of_forty: RunRecord, build: Builder) -> None:
    values = history_figure(build_result(run_of_forty)).data[0].y
    assert len(values) > 2 and list(values) == sorted(values) and values[0] == 0
    empty = build_result(build.record())
    for draw, part in (
        (front_figure, "no trial with two measured objectives"),
        (history_figure, "has not grown yet"),
        (importance_figure, "too few scored trials"),
        (parallel_figure, "No trial has been scored"),
        (layers_figure, "has not been measured in this run"),
    ):
        with pytest.raises(RunError, match=part):
            draw(empty)
    with pytest.raises(RunError, match="has no trial 7"):
        layers_figure(empty, 7)
