"""The document of a timing, as the runner prints it: the steadier of two runs, and its numbers as measurements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.target import Timing

Document = dict[str, Any]


def steady_document(run: Callable[[], Document]) -> Document:
    """The document of a run; an unstable run is repeated once, and the steadier one is kept. ``attempts`` counts the runs."""
    first = run()
    if first["stable"]:
        return first | {"attempts": 1}
    return min(first, run(), key=_unsteadiness) | {"attempts": 2}


def timing_of(target: str, document: Document) -> Timing:
    """The numbers of a document with a baseline, measured on the kind of target that ``target`` names."""
    this, base = (_measurement(target, part, document) for part in (document, document["baseline"]))
    return Timing(this, base, document["ratio"]["value"])


def _measurement(target: str, part: Document, document: Document) -> Measurement:
    found = dict(part["latency_us"])
    value, interval, blocks = found.pop("value"), found.pop("interval"), found.pop("blocks")
    about = {name: document[name] for name in ("stable", "instability", "attempts", "ratio")}
    about |= {name: part[name] for name in ("sha256", "delegates", "peak_rss_bytes", "energy_uj") if name in part}
    environment = {"target": target} | document["environment"]
    return Measurement(value, "us", environment, interval and tuple(interval), tuple(blocks), found | about)


def _unsteadiness(document: Document) -> tuple[bool, float]:
    """Stable runs first, then by the relative width of the ratio's interval, or of the value's if there is no ratio."""
    found = document["ratio"] or document["latency_us"]
    low, high = found["interval"] or (0.0, math.inf)
    return (not document["stable"], (high - low) / found["value"])
