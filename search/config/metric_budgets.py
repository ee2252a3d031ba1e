"""Budgets of the metric that no file can miss or meet are rejected before the search starts."""

from __future__ import annotations

from litetuner.objectives.metrics.choice import find_metric
from litetuner.search.config.units import SHARE, parse
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.user_function import is_function


def check_metric_budgets(metric: str, min_metric: float | None, max_drop: str | None) -> None:
    """Raise ``ConfigError`` for a budget outside the values that ``metric`` can have.

    A user's own metric is imported in workers only, so it is not checked here.
    """
    drop = 0.0 if max_drop is None else parse(max_drop, SHARE, "max-drop")
    if (min_metric is None and drop <= 1) or is_function(metric.partition("@")[0]):
        return
    found = find_metric(metric)
    low, high = found.limits
    if min_metric is not None and not low <= min_metric <= high:
        limit = f"at least {low:g}" if min_metric < low else f"at most {high:g}"
        hint = f"; did you mean {min_metric / 100:g}?" if high == 1 < min_metric <= 100 else "."
        raise ConfigError(f"min-metric: {min_metric:g} is impossible: {metric} is {limit}{hint}")
    if drop > 1 and found.bounded:
        raise ConfigError(f"max-drop: {max_drop} is impossible: {metric} is between 0 and 1.")
