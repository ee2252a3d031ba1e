"""Texts beside the numbers: unstable timings, shared work, meanings of steps, names of budgets in charts."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

from litetuner.objectives.measurement import Measurement
from litetuner.reports.html.sections.front import FrontSection
from litetuner.reports.html.sections.headline import HeadlineSection
from litetuner.reports.model.conditions import unstable_words
from litetuner.reports.model.report import build_report
from litetuner.reports.model.result import build_result
from litetuner.reports.model.sections.trial_details import stage_words
from litetuner.reports.terminal.tables import best_panel
from litetuner.reports.text.steps import label_words, step_words
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State, Trial
from litetuner.spaces.steps.ptq import Ptq
from tests.reports.names import candidate


def shaken(trial: Trial) -> Trial:
    """The same trial, timed beside other work."""
    found = trial.measurements["latency_us:host"]
    said = found.extra | {"stable": False, "instability": ["busy: others took 40% of the core"]}
    return dataclasses.replace(
        trial, measurements=trial.measurements | {"latency_us:host": dataclasses.replace(found, extra=said)}
    )


def test_unstable_timing_is_shown_once_in_the_terminal_and_in_the_headline(record: RunRecord) -> None:
    assert unstable_words(record.trials) == ""
    record = dataclasses.replace(record, trials=[shaken(record.trials[0]), *record.trials[1:]])
    said = unstable_words(record.trials)
    assert said.startswith("Unstable timing in 1 of 1 latency measurements") and "other processes were running" in said
    console = Console(width=400, file=io.StringIO(), record=True)
    console.print(best_panel(build_result(record), "next"))
    assert said in console.export_text()
    assert said[:40] in HeadlineSection().render(build_report(record)).html


def test_what_another_trial_trained_is_said_to_be_its() -> None:
    def trial(number: int, train: float, label: str) -> Trial:
        return Trial(
            number=number, candidate=candidate(label), state=State.COMPLETE, origin="x", seed=0, measurements={},
            seconds={"train": train, "convert": 0.0}, seconds_since_start=1.0,
        )  # fmt: skip

    trials = [
        trial(1, 40.0, "qat+int8"),
        trial(2, 0.0, "qat+int8"),
        trial(3, 0.0, "prune0.5+int8"),
        trial(4, 0.0, "int8"),
    ]
    found = [dict(stages)["train"] for stages in stage_words(trials)]
    assert found == ["40 s", "trained in trial 1", "from the cache", "0.0 s"]
    assert dict(stage_words(trials)[1])["convert"] == "0.0 s"


def test_a_label_is_explained_in_words() -> None:
    step = Ptq(recipe="static_wi8_ai8", algorithm="mse", granularity="tensor", io="float32")
    said = step_words(step)
    for part in (
        "8-bit weights",
        "8-bit integer activations",
        "calibration",
    ):
        assert part in said
    assert step.label() in label_words((step,))


def test_the_table_begins_with_what_is_asked_for(record: RunRecord) -> None:
    essential = {column.name for column in build_result(record).columns if column.essential}
    assert essential >= {"metric", "drop", "compressed_bytes", "latency_us:host", "latency_ratio:host"}
    assert "test_metric" not in essential


def test_the_names_of_budgets_lie_over_few_marks(record: RunRecord) -> None:
    report = build_report(record)
    content = FrontSection().render(report)
    assert content is not None
    for chart in report.charts:
        for note in content.figures[f"chart-{chart.name}"]["layout"]["annotations"]:
            assert note["xref"] == "x domain" or (note["y"] == 1 and note["yanchor"] == "bottom"), "above the chart"


@pytest.mark.parametrize("extra", [{}, {"stable": True}, {"stable": None}])
def test_a_steady_timing_says_nothing(record: RunRecord, extra: dict[str, Any]) -> None:
    trial = record.trials[0]
    steady = Measurement(1.0, "us", {"target": "host"}, None, (), extra)
    assert unstable_words([dataclasses.replace(trial, measurements={"latency_us:host": steady})]) == ""
