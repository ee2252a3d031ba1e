"""Intervals: the uncertainty of a measured number, and whether two numbers differ.

All are deterministic: random numbers come from the seed that is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.metric import Metric

Interval = tuple[float, float]
Verdict = Literal["faster", "slower", "tie"]
# Smaller differences of latency are ties: two runs of one file differ by it (benchmarks/aa_latency.py).
RESOLUTION = 0.01
LEVEL = 0.95  # of all intervals
ROUNDS = 1000  # resamples of per-sample values
BLOCK_VALUES = 1_000_000  # random indices drawn at a time


def bootstrap_interval(each: np.ndarray, seed: int) -> Interval:
    """Confidence interval of the mean of per-sample values (n,), in their unit.

    Values of 0 and 1 (right or wrong) get Wilson's score interval, a closed form that is also correct if all or none are
    right (the bootstrap interval would have no width); others a percentile bootstrap.
    """
    from scipy.stats import binomtest

    values = _values(each)
    if _is_binary(values):
        found = binomtest(int(values.sum()), len(values)).proportion_ci(LEVEL, method="wilson")
        return float(found.low), float(found.high)
    return _percentiles(_resampled_means(values, seed))


def bootstrap_metric_interval(
    metric: Metric, y: np.ndarray, pred: np.ndarray, seed: int, rounds: int = 200
) -> Interval:
    """Percentile bootstrap of a metric that is no mean (F1, AUC, R2), widened to hold the value itself where it is biased."""
    value = metric.score(y, pred)
    scores = [metric.score(y[rows], pred[rows]) for rows in _resamples(metric, y, seed, rounds)]
    return _holding(value, _percentiles(np.array(scores)))


def paired_difference(a_each: np.ndarray, b_each: np.ndarray, seed: int) -> tuple[float, Interval]:
    """Mean of ``a - b`` over the same samples (n,), and its confidence interval.

    Pairing removes what both share, so that much smaller differences are visible than with two single intervals. Values of
    0 and 1 get the interval of Agresti and Min (2005, Statistics in Medicine 24, 729): half a sample is added to each
    cell, so that two files that never disagreed are not thought exactly equal. Others get a percentile bootstrap.
    """
    a, b = _values(a_each), _values(b_each)
    if len(a) != len(b):
        raise ValueError(f"paired values must be of the same samples, got {len(a)} and {len(b)}")
    difference = a - b
    value = float(difference.mean())
    if _is_binary(a) and _is_binary(b):
        return value, _holding(value, _agresti_min(difference))
    return value, _percentiles(_resampled_means(difference, seed))


def paired_metric_difference(
    metric: Metric, y: np.ndarray, pred_a: np.ndarray, pred_b: np.ndarray, seed: int, rounds: int = 200
) -> tuple[float, Interval]:
    """``metric(a) - metric(b)`` on the same samples for a metric that is no mean, and its bootstrap interval."""
    value = metric.score(y, pred_a) - metric.score(y, pred_b)
    differences = [
        metric.score(y[rows], pred_a[rows]) - metric.score(y[rows], pred_b[rows])
        for rows in _resamples(metric, y, seed, rounds)
    ]
    return value, _holding(value, _percentiles(np.array(differences)))


def faster(a: Measurement, b: Measurement) -> Verdict:
    """Is the file of latency ``a`` faster than that of ``b``, slower, or is it a tie?

    Latencies that were measured with a baseline in turns are compared by their ratios to it, in which what the machine did
    meanwhile cancels; others by themselves. It is a tie where the intervals overlap, where there is none, and below
    ``RESOLUTION``.
    """
    found_a, found_b = _speed(a), _speed(b)
    if found_a is None or found_b is None:
        found_a, found_b = _inverse(a), _inverse(b)
    if found_a is None or found_b is None:
        return "tie"
    (speed_a, (low_a, high_a)), (speed_b, (low_b, high_b)) = found_a, found_b
    gain = speed_a / speed_b
    if (low_a <= high_b and low_b <= high_a) or 1 / (1 + RESOLUTION) < gain < 1 + RESOLUTION:
        return "tie"
    return "faster" if gain > 1 else "slower"


def _speed(latency: Measurement) -> tuple[float, Interval] | None:
    """The ratio to the interleaved baseline with its interval; more is faster."""
    ratio = latency.extra.get("ratio")
    if not ratio or not ratio.get("interval"):
        return None
    low, high = ratio["interval"]
    return float(ratio["value"]), (float(low), float(high))


def _inverse(latency: Measurement) -> tuple[float, Interval] | None:
    if latency.interval is None:
        return None
    low, high = latency.interval
    return 1 / latency.value, (1 / high, 1 / low)


def _values(samples: np.ndarray) -> np.ndarray:
    values = np.asarray(samples, np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"an interval needs values of shape (n,) with n > 0, got {values.shape}")
    return values


def _is_binary(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _agresti_min(difference: np.ndarray) -> Interval:
    from scipy.stats import norm

    n = len(difference) + 2
    gained, lost = (difference > 0).sum() + 0.5, (difference < 0).sum() + 0.5
    centre = (gained - lost) / n
    half = norm.ppf(0.5 + LEVEL / 2) * np.sqrt(gained + lost - (gained - lost) ** 2 / n) / n
    return max(-1.0, float(centre - half)), min(1.0, float(centre + half))


def _resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """Means (rounds,) of samples drawn with replacement."""
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(values, return_counts=True)
    n = len(values)
    if len(distinct) <= 64:  # few distinct values: draw how often each occurs
        return rng.multinomial(n, counts / n, size=ROUNDS) @ distinct / n
    rows = max(1, BLOCK_VALUES // n)
    sizes = [rows] * (ROUNDS // rows) + ([ROUNDS % rows] if ROUNDS % rows else [])
    return np.concatenate([values[rng.integers(0, n, (size, n), dtype=np.uint32)].mean(axis=1) for size in sizes])


def _resamples(metric: Metric, y: np.ndarray, seed: int, rounds: int) -> Iterator[np.ndarray]:
    """Indices (n,) drawn with replacement. For class labels, a draw of one class alone is drawn again: AUC has no value there."""
    several = metric.task == "classification" and len(np.unique(y)) > 1
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        rows = rng.integers(0, len(y), len(y))
        while several and (y[rows] == y[rows].flat[0]).all():
            rows = rng.integers(0, len(y), len(y))
        yield rows


def _percentiles(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _holding(value: float, interval: Interval) -> Interval:
    return min(value, interval[0]), max(value, interval[1])
