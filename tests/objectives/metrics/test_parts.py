"""Metrics of labels and predictions that are larger than a part give what they give at once, and what scikit-learn gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.objectives.metrics import METRICS, metric
from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.metrics.class_pairs import class_pairs
from tests.decisions import BINARY, LOGITS, NUMBERS, SEVERAL

RNG = np.random.default_rng(0)
IMAGES = RNG.random((24, 12, 12, 1)).astype(np.float32)
CASES: dict[str, tuple[Any, np.ndarray, np.ndarray]] = {
    "masks": (BINARY, RNG.integers(0, 2, (24, 5, 6), np.uint8), RNG.random((24, 5, 6, 1)).astype(np.float32)),
    "places": (LOGITS, RNG.integers(0, 7, (24, 5, 6), np.uint8), RNG.normal(size=(24, 5, 6, 7)).astype(np.float32)),
    "labels": (SEVERAL, RNG.integers(0, 2, (24, 9)), RNG.random((24, 9)).astype(np.float32)),
    "images": (NUMBERS, IMAGES, np.clip(IMAGES + RNG.normal(0, 0.1, IMAGES.shape), 0, 1).astype(np.float32)),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_give_what_the_whole_gives(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decision, y, pred = CASES[case]
    metrics = [
        find_metric(name, decision) for name, kind in METRICS.items() if decision.task in kind.tasks and not kind.takes
    ]
    assert len(metrics) >= 4
    whole = [(each.score(y, pred), each.each(y, pred)) for each in metrics]
    monkeypatch.setattr(metric, "PART_BYTES", 5 * max(y[:1].nbytes, pred[:1].nbytes))  # of 5 samples
    for each, (value, values) in zip(metrics, whole, strict=True):
        assert each.score(y, pred) == pytest.approx(value, rel=1e-9), each.name
        if values is not None:
            assert np.allclose(each.each(y, pred), values, rtol=1e-12), each.name


def test_pairs_of_classes_are_the_confusion_matrix() -> None:
    from sklearn.metrics import confusion_matrix

    decision, y, pred = CASES["places"]
    true, found, counts = class_pairs(y, pred, decision)
    table = np.zeros((7, 7))
    table[true, found] = counts
    assert (table == confusion_matrix(y.ravel(), pred.argmax(axis=-1).ravel())).all()


def test_errors_of_numbers_are_scikit_learns() -> None:
    from sklearn import metrics

    _, y, pred = CASES["images"]
    flat = y.reshape(24, -1), pred.reshape(24, -1)
    assert find_metric("rmse").score(y, pred) == pytest.approx(metrics.root_mean_squared_error(*flat), rel=1e-5)
    assert find_metric("mae").score(y, pred) == pytest.approx(metrics.mean_absolute_error(*flat), rel=1e-5)
