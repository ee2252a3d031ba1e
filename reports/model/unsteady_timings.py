"""An unsteady machine, in one line: how many of the timings say of themselves that they should not be trusted, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from litetuner.reports.text.formatting import clean
from litetuner.search.trial import Trial

CAUSES = {
    "busy": "other work ran beside it",
    "stolen": "the hypervisor took the core",
    "throttled": "heat slowed the core down",
    "drift": "it became slower or faster meanwhile",
    "spread": "they scatter",
    "interval": "their intervals stayed wide",
    "preempted": "no invoke kept the core",
    "blocks": "there was time for few of them",
}


def unsteady_words(trials: Iterable[Trial]) -> str:
    """``Latency: 3 of 40 timings were unsteady (...)``; empty where all were steady, or none said."""
    seen: dict[int, bool] = {}
    causes: Counter[str] = Counter()
    count = 0
    for trial in trials:
        for name, found in trial.measurements.items():
            stable = found.extra.get("stable")
            if not name.startswith("latency_us:") or stable is None or id(found) in seen:
                continue
            seen[id(found)] = True
            count += 1
            if stable is False:
                causes["all"] += 1
                reasons = found.extra.get("instability")
                kinds = (
                    {str(reason).partition(":")[0] for reason in reasons} if isinstance(reasons, list | tuple) else ()
                )
                causes.update(kinds)
    many = causes.pop("all", 0)
    if not many:
        return ""
    cause = causes.most_common(1)[0][0] if causes else ""
    why = f", mostly since {CAUSES.get(cause, clean(cause, 40))}" if cause else ""
    return f"Unsteady machine: {many} of {count} timings were unsteady{why}; small differences in latency may be noise."
