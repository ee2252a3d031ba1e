"""Convert blocks of ``benchmark_model`` to a document like the runner's: latency, intervals, ratio, instability."""

import dataclasses
from pathlib import Path
from typing import Any

from litetuner.objectives.runner.intervals import (
    DRIFT_LIMIT,
    SPREAD_LIMIT,
    drift,
    half_width,
    median,
    median_interval,
    ratio_of,
    spread,
)
from litetuner.objectives.targets.adb.benchmark_model import Report, delegates_of, summary_of
from litetuner.spaces.tflite.operators import read_operators

ROUNDED_US = 1.0  # the tool rounds down to whole microseconds: the true value is up to 1 us higher than the printed one


@dataclasses.dataclass
class Run:
    """One file, with the tool's report for each block."""

    path: Path
    sha256: str
    reports: list[Report] = dataclasses.field(default_factory=list)

    @property
    def blocks_us(self) -> list[float]:
        """The shortest invoke of each block."""
        return [report.least_us for report in self.reports]


def document_of(
    runs: list[Run], about: dict[str, Any], delegate: str, limits: dict[str, float], seconds: float
) -> dict[str, Any]:
    """A document like the runner's, with the values that the tool reports.

    ``runs`` are the run of the file and, optionally, that of the baseline.
    """
    this, base = _part(runs[0], delegate), _part(runs[1], delegate) if len(runs) > 1 else None
    ratio = rounded_ratio(runs[1].blocks_us, runs[0].blocks_us) if len(runs) > 1 else None
    reasons = find_instability(runs[0].blocks_us, ratio, about, limits)
    found: dict[str, Any] = {**this, "baseline": base, "ratio": ratio, "seconds": round(seconds, 3)}
    return found | {"stable": not reasons, "instability": reasons, "environment": about}


def _part(run: Run, delegate: str) -> dict[str, Any]:
    blocks, found = run.blocks_us, median_interval(run.blocks_us)
    summary = summary_of(run.reports)
    peak = summary.pop("peak_rss_bytes")
    latency = {"value": median(blocks), "interval": None, "coverage": None, "blocks": blocks} | summary
    if found is not None:
        latency |= {"interval": [found[0][0], found[0][1] + ROUNDED_US], "coverage": round(found[1], 4)}
    content = run.path.read_bytes()
    # Only a fake tool (in tests) accepts other files.
    names = [operator.name for operator in read_operators(content)] if content[4:8] == b"TFL3" else []
    delegates = delegates_of(run.reports[0], delegate, names)
    return {"sha256": run.sha256, "latency_us": latency, "delegates": delegates, "peak_rss_bytes": peak}


def rounded_ratio(base: list[float], this: list[float]) -> dict[str, Any]:
    """The ratio baseline / file as on the host, with its interval widened by the rounding error."""
    found = ratio_of(base, this)
    if found["interval"]:
        low, high = found["interval"]
        t, b = median(this), median(base)
        found["interval"] = [low * t / (t + ROUNDED_US), high * (b + ROUNDED_US) / b]
    return found


def find_instability(
    blocks: list[float], ratio: dict[str, Any] | None, about: dict[str, Any], limits: dict[str, float]
) -> list[str]:
    """Reasons not to trust the measurements; empty for a stable run."""
    value, width, scatter, trend = median(blocks), half_width(blocks), spread(blocks), drift(blocks)
    if ratio and ratio["interval"]:
        width = max(width, (ratio["interval"][1] - ratio["interval"][0]) / 2 / ratio["value"])
    hot, wanted = about["thermal_status_after"] or 0, limits["tolerance"]
    few, seconds = int(limits["blocks"]), limits["max_seconds"]
    checks = [
        (len(blocks) < few, f"blocks: only {len(blocks)} of {few} in {seconds:g} s"),
        (ROUNDED_US / 2 / value > wanted, f"rounding: benchmark_model reports whole microseconds, here of {value:g}"),
        (width > wanted + ROUNDED_US / value, f"interval: half width {width:.2%}, wanted {wanted:.2%}"),
        (scatter > SPREAD_LIMIT + ROUNDED_US / value, f"spread: the middle half of the blocks spans {scatter:.1%}"),
        (abs(trend) > DRIFT_LIMIT + ROUNDED_US / value, f"drift: {trend:+.1%} from first to last blocks (throttling?)"),
        (hot > 0, f"hot: thermal status {hot} (0 is cool), so clocks are lowered"),
    ]
    return [reason for true, reason in checks if true]
