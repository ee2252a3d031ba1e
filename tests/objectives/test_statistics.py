"""Intervals: they cover as often as they say, they repeat, and they are fast."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.metrics.metric import Metric
from litetuner.objectives.statistics import (
    bootstrap_interval,
    bootstrap_metric_interval,
    faster,
    paired_difference,
    paired_metric_difference,
)
from tests.decisions import BINARY, PROBABILITIES


def coverage(truth: float, intervals: list[tuple[float, float]]) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def test_intervals_of_right_and_wrong_cover() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap_interval((rng.random(500) < 0.9).astype(float), 0) for _ in range(300)]
    assert 0.91 <= coverage(0.9, found) <= 0.99
    low, high = bootstrap_interval(np.ones(20), 0)
    assert low < 0.9 and high == 1.0  # all right is not certainty


@pytest.mark.parametrize("distinct", [True, False])
def test_intervals_of_errors_cover(distinct: bool) -> None:
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(200, 300)) if distinct else rng.integers(0, 3, (200, 300)).astype(float)
    found = [bootstrap_interval(row, seed) for seed, row in enumerate(samples)]
    assert 0.90 <= coverage(1.0, found) <= 0.99


def test_paired_differences_of_right_and_wrong_cover_and_are_narrower() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        u = rng.random(400)
        a, b = u < 0.90, (u < 0.85) | (u > 0.98)  # .90 against .87, wrong together mostly
        value, interval = paired_difference(a.astype(float), b.astype(float), 0)
        assert value == pytest.approx(a.mean() - b.mean()) and interval[0] <= value <= interval[1]
        found.append(interval)
    assert 0.91 <= coverage(0.03, found) <= 0.99
    single = bootstrap_interval(a.astype(float), 0)
    assert found[-1][1] - found[-1][0] < single[1] - single[0]


def test_files_that_never_disagree_are_not_certainly_equal() -> None:
    each = (np.arange(100) % 10 > 0).astype(float)
    value, (low, high) = paired_difference(each, each, 0)
    assert value == 0 and low < 0 < high and high < 0.03


def test_paired_differences_of_errors() -> None:
    rng = np.random.default_rng(0)
    b = rng.exponential(size=1000)
    value, (low, high) = paired_difference(b + 0.1 + 0.01 * rng.normal(size=1000), b, 0)
    assert low < 0.1 < high and high - low < 0.002 and low <= value <= high
    with pytest.raises(ValueError, match="same samples"):
        paired_difference(b, b[:-1], 0)


def interval_of(metric: Metric, y: np.ndarray, pred: np.ndarray, seed: int, **more: Any) -> Any:
    found = bootstrap_metric_interval(metric, y, pred, seed, **more)
    assert found is not None
    return found


@pytest.mark.parametrize(("seconds", "calls"), [(0.01, 201), (0.08, 101), (0.15, 51), (0.5, 1)])
def test_a_slow_metric_is_resampled_as_often_as_fits(
    seconds: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is the test's: a metric of 0.15 s gets 50 resamples in 10 s, one of 0.5 s no interval."""
    from litetuner.objectives import statistics

    now = [0.0]

    class Slow(Metric):
        def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
            now[0] += seconds
            return float(y_pred.max())

    monkeypatch.setattr(statistics.time, "monotonic", lambda: now[0])
    found = bootstrap_metric_interval(Slow(), np.arange(20), np.arange(20.0), 0)
    assert round(now[0] / seconds) == calls and (found is None) == (calls == 1)


def test_groups_are_drawn_as_a_whole() -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    class Grouped(Metric):
        takes = ("x", "groups")

        def score(self, y_true: np.ndarray, y_pred: np.ndarray, **more: np.ndarray) -> float:
            assert len(more["x"]) == len(more["groups"]) == len(y_true)
            seen.append((more["x"], more["groups"]))
            return float(y_pred.mean())

    names = np.array(["b", "a", "b", "c", "a", "b"])
    sizes = {"a": 2, "b": 3, "c": 1}
    interval_of(Grouped(), np.zeros(6), np.arange(6.0), 0, more={"x": names, "groups": names})
    for x, groups in seen[1:]:
        for group in np.unique(groups):
            (name,) = set(x[groups == group])
            assert (groups == group).sum() == sizes[name]
    assert len(seen) == 201 and any(len(set(x)) < len(set(groups)) for x, groups in seen[1:])


def test_metrics_that_are_no_means() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    good = np.eye(3)[np.where(rng.random(400) < 0.9, y, (y + 1) % 3)]
    bad = np.eye(3)[np.where(rng.random(400) < 0.7, y, (y + 1) % 3)]
    metric = find_metric("macro-f1", PROBABILITIES)
    low, high = interval_of(metric, y, good, 0)
    assert low <= metric.score(y, good) <= high and 0.02 < high - low < 0.12
    value, interval = paired_metric_difference(metric, y, good, bad, 0)
    assert interval is not None and 0 < interval[0] < value < interval[1]
    assert paired_metric_difference(metric, y, good, good, 0) == (0.0, (0.0, 0.0))


def test_a_draw_of_one_class_is_drawn_again() -> None:
    y = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    scores = np.linspace(0, 1, 8)[:, None]
    low, high = interval_of(find_metric("roc-auc", BINARY), y, scores, 0)
    assert 0 <= low <= high <= 1


def test_all_repeat_by_seed() -> None:
    values = np.random.default_rng(0).normal(size=200)
    assert bootstrap_interval(values, 1) == bootstrap_interval(values, 1) != bootstrap_interval(values, 2)
    y, scores = np.arange(100) % 2, np.random.default_rng(0).random((100, 1))
    metric = find_metric("roc-auc", BINARY)
    first, second, other = (bootstrap_metric_interval(metric, y, scores, seed) for seed in (1, 1, 2))
    assert first == second != other


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((2, 2))])
def test_values_of_another_shape_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shape"):
        bootstrap_interval(values, 0)


def test_five_thousand_samples_take_a_moment() -> None:
    right = (np.random.default_rng(0).random(5000) < 0.9).astype(float)
    bootstrap_interval(right, 0)  # imports scipy
    started = time.process_time()
    bootstrap_interval(right, 0)
    paired_difference(right, right[::-1], 0)
    assert time.process_time() - started < 0.05
    started = time.process_time()
    bootstrap_interval(np.random.default_rng(0).normal(size=5000), 0)
    assert time.process_time() - started < 0.5  # about .04 s on an idle core


def latency(value: float, half: float | None, ratio: tuple[float, float] | None = None) -> Measurement:
    interval = None if half is None else (value - half, value + half)
    extra = (
        {} if ratio is None else {"ratio": {"value": ratio[0], "interval": [ratio[0] - ratio[1], ratio[0] + ratio[1]]}}
    )
    return Measurement(value, "us", {"target": "test"}, interval, extra=extra)


def test_verdicts() -> None:
    assert faster(latency(80, 1), latency(100, 1)) == "faster"
    assert faster(latency(100, 1), latency(80, 1)) == "slower"
    assert faster(latency(100, 3), latency(104, 3)) == "tie"  # intervals overlap
    assert faster(latency(100, 0.1), latency(100.9, 0.1)) == "tie"  # below what two runs of one file differ by
    assert faster(latency(100, None), latency(50, 1)) == "tie"  # nothing is known of the first
    # The machine was slower for the first; beside the baseline it is the faster one.
    assert faster(latency(120, 1, (2.0, 0.02)), latency(100, 1, (1.8, 0.02))) == "faster"
    assert faster(latency(80, 1, (2.0, 0.3)), latency(100, 1, (1.8, 0.3))) == "tie"


def test_verdicts_on_noise_are_ties() -> None:
    """Six block minima with half a percent of noise, twice the same file; then one that is 3 % slower."""
    rng = np.random.default_rng(0)

    def draw(value: float) -> Measurement:
        blocks = value * rng.normal(1, 0.005, 6)
        return Measurement(float(np.median(blocks)), "us", {"target": "test"}, (blocks.min(), blocks.max()))

    assert np.mean([faster(draw(100), draw(100)) != "tie" for _ in range(400)]) <= 0.02
    assert np.mean([faster(draw(100), draw(103)) == "faster" for _ in range(400)]) >= 0.9
