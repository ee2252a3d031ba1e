"""Intervals: the uncertainty of a measured number, and whether two numbers differ.

Random numbers come from the seed that is given. How often a slow metric is resampled depends on the machine.
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
# Smaller differences of latency are ties: two runs of one file differ by it (benchmarks/aa_latency.py).
RESOLUTION = 0.01
LEVEL = 0.95  # of all intervals
ROUNDS = 1000  # resamples of per-sample values
RESAMPLES = (200, 100, 50)  # of a metric that is no mean, as many as fit into the limit; else there is no interval
RESAMPLING_SECONDS = 10.0
RESAMPLED_BYTES = 1 << 28  # of labels, predictions and samples, which each resample copies
Arrays = Mapping[str, np.ndarray]
NOTHING: Arrays = MappingProxyType({})
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
    metric: Metric, y: np.ndarray, pred: np.ndarray, seed: int, more: Arrays = NOTHING
) -> Interval | None:
    """Percentile bootstrap of a metric that is no mean (F1, AUC, R2), widened to hold the value itself where it is biased.

    ``more`` (n, ...) is what the metric takes besides. With groups whole groups are drawn. ``None``: see ``_rounds``.
    """
    return _bootstrap(lambda y, pred, more: metric.score(y, pred, **more), y, (pred,), seed, more)[1]


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
    metric: Metric, y: np.ndarray, pred_a: np.ndarray, pred_b: np.ndarray, seed: int, more: Arrays = NOTHING
) -> tuple[float, Interval | None]:
    """``metric(a) - metric(b)`` on the same samples for a metric that is no mean, and its bootstrap interval."""

    def difference(y: np.ndarray, a: np.ndarray, b: np.ndarray, more: Arrays) -> float:
        return metric.score(y, a, **more) - metric.score(y, b, **more)

    return _bootstrap(difference, y, (pred_a, pred_b), seed, more)


def _bootstrap(
    value_of: Callable[..., float], y: np.ndarray, preds: tuple[np.ndarray, ...], seed: int, more: Arrays
) -> tuple[float, Interval | None]:
    """A value of (y, *preds, more), and its interval, ``None`` where resampling takes too long or too much memory."""
    started = time.monotonic()
    value = value_of(y, *preds, more)
    rounds = _rounds(time.monotonic() - started)
    if not rounds or sum(values.nbytes for values in (y, *preds, *more.values())) > RESAMPLED_BYTES:
        return value, None
    drawn = _resamples(y, seed, rounds, more)
    values = [value_of(y[rows], *(pred[rows] for pred in preds), other) for rows, other in drawn]
    return value, _holding(value, _percentiles(np.array(values)))


def _rounds(seconds: float) -> int:
    """How many resamples of a value that takes so long: 200, 100 or 50 within the limit (few levels, so that they repeat)."""
    return next((count for count in RESAMPLES if count * seconds <= RESAMPLING_SECONDS), 0)


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


def _resamples(y: np.ndarray, seed: int, rounds: int, more: Arrays) -> Iterator[tuple[np.ndarray, Arrays]]:
    """Indices drawn with replacement, and ``more`` of them; a group that is drawn twice counts as two.

    A draw of one class alone is drawn again, where there are several: AUC has no value there.
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
