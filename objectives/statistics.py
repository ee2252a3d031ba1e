"""Confidence intervals of measured numbers, and tests of whether two numbers differ.

All random numbers depend only on the given seed. The number of resamples of a slow metric depends on the machine's
speed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.metric import Metric

Interval = tuple[float, float]
Verdict = Literal["faster", "slower", "tie"]
# Smaller relative differences of latency are ties: two runs of the same file differ by this (benchmarks/aa_latency.py).
RESOLUTION = 0.01
LEVEL = 0.95  # confidence level of all intervals
ROUNDS = 1000  # resamples of per-sample values
# Resamples of a metric that is not a mean: the largest number that fits into the time limit. If none fits: no interval.
RESAMPLES = (200, 100, 50)
RESAMPLING_SECONDS = 10.0
RESAMPLED_BYTES = 1 << 28  # limit of the labels, predictions and samples, which each resample copies
Arrays = Mapping[str, np.ndarray]
NOTHING: Arrays = MappingProxyType({})
BLOCK_VALUES = 1_000_000  # number of random indices that are drawn at once


def bootstrap_interval(each: np.ndarray, seed: int) -> Interval:
    """Confidence interval of the mean of per-sample values (n,), in their unit.

    If all values are 0 or 1 (wrong or right), this is Wilson's score interval. It has a closed form and is also valid
    if all or no values are 1, where a bootstrap interval would have no width. Other values use a percentile bootstrap.
    """
    from scipy.stats import binomtest

    values = _values(each)
    if _is_binary(values):
        found = binomtest(int(values.sum()), len(values)).proportion_ci(LEVEL, method="wilson")
        return float(found.low), float(found.high)
    return _percentiles(_resampled_means(values, seed))


def bootstrap_metric_interval(
    metric: Metric, y: np.ndarray, pred: np.ndarray, seed: int, more: Arrays = NOTHING
) -> Interval | None:
    """Percentile bootstrap interval of a metric that is not a mean (F1, AUC, R2), or ``None`` if it takes too long.

    The bootstrap can be biased, so the interval is widened if it does not contain the value itself. ``more`` (n, ...)
    are the additional arguments of the metric. If there are groups, whole groups are resampled. See also
    ``_bootstrap``.
    """
    return _bootstrap(lambda y, pred, more: metric.score(y, pred, **more), y, (pred,), seed, more)[1]


def paired_difference(a_each: np.ndarray, b_each: np.ndarray, seed: int) -> tuple[float, Interval]:
    """The mean of ``a - b`` over the same samples (n,), and its confidence interval.

    A paired comparison removes the variation that both files share, so it detects much smaller differences than two
    separate intervals. If all values are 0 or 1, the interval is that of Agresti and Min (2005, Statistics in Medicine
    24, 729). It adds half a sample to each cell, so that the interval of two files that never differed still has a
    width. Other values use a percentile bootstrap.
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
    metric: Metric, y: np.ndarray, pred_a: np.ndarray, pred_b: np.ndarray, seed: int, more: Arrays = NOTHING
) -> tuple[float, Interval | None]:
    """``metric(a) - metric(b)`` on the same samples for a metric that is not a mean, and its bootstrap interval."""

    def difference(y: np.ndarray, a: np.ndarray, b: np.ndarray, more: Arrays) -> float:
        return metric.score(y, a, **more) - metric.score(y, b, **more)

    return _bootstrap(difference, y, (pred_a, pred_b), seed, more)


def _bootstrap(
    value_of: Callable[..., float], y: np.ndarray, preds: tuple[np.ndarray, ...], seed: int, more: Arrays
) -> tuple[float, Interval | None]:
    """``value_of(y, *preds, more)`` and its interval, ``None`` if resampling needs too much time or memory."""
    started = time.monotonic()
    value = value_of(y, *preds, more)
    rounds = _rounds(time.monotonic() - started)
    if not rounds or sum(values.nbytes for values in (y, *preds, *more.values())) > RESAMPLED_BYTES:
        return value, None
    drawn = _resamples(y, seed, rounds, more)
    values = [value_of(y[rows], *(pred[rows] for pred in preds), other) for rows, other in drawn]
    return value, _holding(value, _percentiles(np.array(values)))


def _rounds(seconds: float) -> int:
    """The number of resamples that fit into the time limit: 200, 100, 50 or none.

    ``seconds`` is the time of one evaluation. There are only a few levels, so that repeated runs use the same number.
    """
    return next((count for count in RESAMPLES if count * seconds <= RESAMPLING_SECONDS), 0)


def faster(a: Measurement, b: Measurement) -> Verdict:
    """Compare two latencies: is the file of ``a`` faster or slower than that of ``b``, or is it a tie?

    If both latencies were measured in alternation with the baseline, their ratios to the baseline are compared, because
    other load on the machine affects both sides of a ratio. Otherwise the latencies are compared directly. It is a tie
    if the intervals overlap, if an interval is missing, or if the difference is below ``RESOLUTION``.
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
    """The ratio of baseline latency to this latency, with its interval; higher is faster."""
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
    """The means (``ROUNDS``,) of samples drawn with replacement."""
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(values, return_counts=True)
    n = len(values)
    if len(distinct) <= 64:  # few distinct values: draw the number of occurrences of each
        return rng.multinomial(n, counts / n, size=ROUNDS) @ distinct / n
    rows = max(1, BLOCK_VALUES // n)
    sizes = [rows] * (ROUNDS // rows) + ([ROUNDS % rows] if ROUNDS % rows else [])
    return np.concatenate([values[rng.integers(0, n, (size, n), dtype=np.uint32)].mean(axis=1) for size in sizes])


def _resamples(y: np.ndarray, seed: int, rounds: int, more: Arrays) -> Iterator[tuple[np.ndarray, Arrays]]:
    """Indices drawn with replacement, and the rows of ``more`` for them.

    With groups, whole groups are drawn, and a group that is drawn twice counts as two groups. If the labels have
    several classes, a draw with only one class is repeated, because AUC is undefined for it.
    """
    several = y.dtype.kind in "iub" and len(np.unique(y)) > 1
    rng = np.random.default_rng(seed)
    groups = more.get("groups")
    _, group_of = np.unique(np.arange(len(y)) if groups is None else groups, return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    single = len(members) == len(y)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(0, len(members), len(members))
        if single:
            return drawn, np.arange(len(y))
        chosen = [members[group] for group in drawn]
        return np.concatenate(chosen), np.repeat(np.arange(len(drawn)), [len(rows) for rows in chosen])

    for _ in range(rounds):
        rows, numbers = draw()
        while several and (y[rows] == y[rows].flat[0]).all():
            rows, numbers = draw()
        yield rows, {name: numbers if name == "groups" else values[rows] for name, values in more.items()}


def _percentiles(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _holding(value: float, interval: Interval) -> Interval:
    return min(value, interval[0]), max(value, interval[1])
