"""What one timing tells of a file on a target, as measurements by name."""

from __future__ import annotations

from litetuner.objectives.measurement import Measurement
from litetuner.search.runtime.jobs import TimeResult


def read_timing(timed: TimeResult, target: str, *, baseline: bool = False) -> dict[str, Measurement]:
    """Latency and ratio of a ``time`` job, and peak memory and energy where the target told them.

    The ratio of the baseline to itself is 1 by definition, whatever two timings of it say. What a delegate took and left
    stays in the latency's ``extra["delegates"]``.
    """
    latency = timed.latency_us
    around = latency.environment
    ratio = 1.0 if baseline else timed.ratio
    found = {
        f"latency_us:{target}": latency,
        f"latency_ratio:{target}": Measurement(ratio, "baseline / this", {"interleaved": True} | around),
    }
    peak = latency.extra.get("peak_rss_bytes")
    if peak is not None:
        found[f"peak_rss_bytes:{target}"] = Measurement(peak, "bytes", around)
    energy = latency.extra.get("energy_uj") or {}
    if "value" in energy:  # else it says why it is absent
        told = dict(energy)
        value, interval, rounds = told.pop("value"), told.pop("interval"), told.pop("rounds")
        shape = None if interval is None else (interval[0], interval[1])
        found[f"energy_uj:{target}"] = Measurement(value, "uJ", around, shape, tuple(rounds), told)
    return found
