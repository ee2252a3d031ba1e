"""The runner's statistics: medians, their intervals, and ratios of latencies. Part of the runner (``runner.FILES``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

SPREAD_LIMIT = 0.04  # maximum ``spread`` of the block minima of a stable run
DRIFT_LIMIT = 0.03  # maximum ``drift`` of a stable run


def median(values: Sequence[float]) -> float:
    return float(np.median(values))


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[tuple[float, float], float] | None:
    """The narrowest order-statistics interval of the median that reaches ``level``, and its true coverage.

    With fewer than six values, no interval reaches 95 %: the whole range is returned, with its true coverage. ``None``
    for a single value.
    """
    ordered, n = sorted(values), len(values)
    if n < 2:
        return None
    tail, skip = 0.5**n, 0
    while skip + 1 < n // 2 and 1 - 2 * (wider := tail + math.comb(n, skip + 1) * 0.5**n) >= level:
        tail, skip = wider, skip + 1
    return (ordered[skip], ordered[n - 1 - skip]), 1 - 2 * tail


def half_width(values: Sequence[float]) -> float:
    """Half of the interval's width, relative to the median; infinite if there is no interval."""
    found = median_interval(values)
    return math.inf if found is None else (found[0][1] - found[0][0]) / 2 / median(values)


def ratio_of(base: Sequence[float], this: Sequence[float]) -> dict[str, Any]:
    """The ratio baseline / candidate, from neighboring blocks or from both medians, whichever interval is narrower."""
    pairs = [b / t for b, t in zip(base, this, strict=True)]
    value, found, method = median(pairs), median_interval(pairs), "pairs"
    interval = None if found is None else list(found[0])
    if interval and (reach := math.hypot(half_width(base), half_width(this))) < half_width(pairs):
        value, method = median(base) / median(this), "values"
        interval = [value * (1 - reach), value * (1 + reach)]
    return {"value": value, "interval": interval, "method": method, "pairs": len(pairs)}


def reach(this: Sequence[float], base: Sequence[float] | None = None) -> float:
    """The relative half width of the interval of a file's latency, or of its ratio to the baseline if that is wider."""
    found = half_width(this)
    if base is None or math.isinf(found):
        return found
    ratio = ratio_of(base, this)
    return max(found, (ratio["interval"][1] - ratio["interval"][0]) / 2 / ratio["value"])


def spread(blocks: Sequence[float]) -> float:
    """The interquartile range, relative to the median."""
    return float(np.subtract(*np.percentile(blocks, [75, 25]))) / median(blocks)


def drift(blocks: Sequence[float]) -> float:
    """The relative increase of latency from the first third of the blocks to the last third."""
    third = max(len(blocks) // 3, 1)
    return median(blocks[-third:]) / median(blocks[:third]) - 1
