"""The gap between the original and the float file is a paired measurement on the same samples."""

from __future__ import annotations

import numpy as np

from litetuner.objectives.metrics.choice import find_metric
from litetuner.search.evaluation.conversion_gap import conversion_gap


def test_the_gap_counts_in_the_worse_direction(tmp_path):
    y = np.arange(100) % 2
    np.save(tmp_path / "y_search.npy", y)
    right = np.eye(2)[y]
    wrong = right.copy()
    wrong[:10] = wrong[:10, ::-1]
    metric = find_metric("accuracy")
    scored = {"each": metric.each(y, wrong), "predictions": None}
    found = conversion_gap(metric, right[:50], scored, tmp_path, 0)  # the original had time for half of the samples
    assert found["keras_metric"].value == 1.0
    assert found["conversion_gap"].value == 0.2 and found["conversion_gap"].environment["samples"] == 50
    low, high = found["conversion_gap"].interval
    assert low < 0.2 < high
    f1 = find_metric("macro-f1")
    found = conversion_gap(f1, right, {"each": None, "predictions": wrong}, tmp_path, 0)
    assert abs(found["conversion_gap"].value - (1.0 - f1.score(y, wrong))) < 1e-12


def test_an_error_that_grows_is_a_loss(tmp_path):
    y = np.linspace(0, 1, 50, dtype=np.float32)
    np.save(tmp_path / "y_search.npy", y)
    metric = find_metric("mae")
    scored = {"each": metric.each(y, y[:, None] + 0.2), "predictions": None}
    gap = conversion_gap(metric, y[:, None] + 0.1, scored, tmp_path, 0)["conversion_gap"]
    assert abs(gap.value - 1.0) < 1e-4 and gap.unit == "relative to the original"
