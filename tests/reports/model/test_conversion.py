from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.reports.files.summary import summary
from litetuner.reports.model.conditions import find_conditions, find_conversion
from litetuner.reports.model.result import build_result


def test_what_the_conversion_cost_is_said_once_for_the_run(filled: Any) -> None:
    record = filled.record()
    result = build_result(record)
    assert result.conversion_words == (
        "Conversion alone: the Keras model has accuracy 0.8722 on 4,800 samples of the search split; "
        "the float .tflite file (the baseline) shows a drop of 0.02 points on the same samples "
        "(95 % interval \u22120.07 to 0.11 points)."
    )
    assert summary(record)["conversion"] == {
        "keras_metric": 0.8722,
        "gap": 0.0002,
        "gap_interval": [-0.0007, 0.0011],
        "samples": 4800,
    }
    assert not {"keras_metric", "conversion_gap"} & {column.name for column in result.columns}, (
        "no columns of every trial"
    )


def test_a_relative_gap_and_one_without_an_interval(filled: Any) -> None:
    first = filled.trials[0]
    gap = Measurement(-0.0113, "relative to the baseline", {"samples": 50})
    filled.trials[0] = dataclasses.replace(first, measurements=first.measurements | {"conversion_gap": gap})
    result = build_result(filled.record(metric="rmse"))
    assert result.conversion is not None and result.conversion.gap_interval is None
    assert result.conversion_words.endswith("shows a gain of 1.13 % on the same samples.")
    shown = {item.title: item.value for item in find_conditions(filled.trials[0])}
    assert shown["drop of the conversion alone"] == "\u22121.13 %" and shown["metric of the Keras model"] == "0.8722"


@pytest.mark.parametrize("missing", ["keras_metric", "conversion_gap"])
def test_nothing_is_said_where_nothing_was_measured(filled: Any, missing: str) -> None:
    first = filled.trials[0]
    kept = {name: value for name, value in first.measurements.items() if name != missing}
    filled.trials[0] = dataclasses.replace(first, measurements=kept)
    record = filled.record()
    assert build_result(record).conversion_words == "" and summary(record)["conversion"] is None
    odd = {missing: Measurement(float("nan"), "1", {"split": "search"})}
    assert find_conversion(dataclasses.replace(first, measurements=first.measurements | odd)) is None
    assert find_conversion(None) is None
