"""Compares the best file of a run with a stored result: which of its numbers became worse by more than chance."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from litetuner.reports.model.rows import finite
from litetuner.reports.text.formatting import clean, latency, number, size
from litetuner.search.policy import POLICY
from litetuner.spaces.errors import RunError

SCHEMA_VERSION = 1
Show = Callable[[float], str]
# The rule for the best file treats sizes within this share as equal, so another such file may be picked.
SIZE_SHARE = POLICY.picks.same_size
# Share of the latency. Two timings of one file on a busy machine differed by more than 2 % in up to 75 % of pairs
# (MobileNetV2, idle and beside training), and virtual machines of CI are busy. This is a guess; no measurement exceeded
# it.
LATENCY_SHARE = 0.05


@dataclasses.dataclass(frozen=True)
class Change:
    """One number of the best file.

    ``limit`` is the worst value that is not worse; ``why`` says where the limit comes from.
    """

    name: str
    before: float
    after: float | None
    limit: float
    worse: bool
    why: str
    words: str


@dataclasses.dataclass(frozen=True)
class Check:
    """The ``changes`` of the best file since the stored result. ``reason`` is set if there is nothing to compare."""

    run: str
    against: str
    budgets: tuple[str, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    reason: str = ""
    lost: bool = False  # the stored result has a best file, and now there is none

    @property
    def worse(self) -> bool:
        return self.lost or any(change.worse for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        found = {"schema_version": SCHEMA_VERSION, "worse": self.worse} | dataclasses.asdict(self)
        return dict(finite(found))


def check_summaries(now: Mapping[str, Any], stored: Mapping[str, Any], against: str) -> Check:
    """Compare two summaries (``summary.json``). Raises ``RunError`` if the stored numbers have another meaning."""
    _check_meaning(now, stored, against)
    budgets = tuple(f"{item['name']} {item['text']}" for item in now["budgets"])
    before = tuple(f"{item['name']} {item['text']}" for item in stored["budgets"])
    notes = [] if budgets == before else [f"The stored result had other budgets: {', '.join(before) or 'none'}."]
    found = Check(str(now["run"]), against, budgets, ())
    if stored["best"] is None:
        return dataclasses.replace(
            found, notes=tuple(notes), reason="The stored result has no best file: nothing can be worse."
        )
    if now["best"] is None:
        reason = "No file is within the budgets any more."
        return dataclasses.replace(found, notes=tuple(notes), reason=reason, lost=True)
    machines = [str(side.get("environment", {}).get("cpu")) for side in (now, stored)]
    same = machines[0] == machines[1]
    if not same:
        notes.append(
            f"The machines differ ({clean(machines[1], 60)}, now {clean(machines[0], 60)}): speed is compared."
        )
    changes = [_metric(now, stored), *_sizes(now, stored), *(_latencies(now, stored) if same else _speeds(now, stored))]
    return dataclasses.replace(found, changes=tuple(changes), notes=tuple(notes))


def _check_meaning(now: Mapping[str, Any], stored: Mapping[str, Any], against: str) -> None:
    needed = ("metric", "budgets", "best", "objectives")
    lacking = [name for name in needed if name not in stored]
    if lacking or not isinstance(stored["metric"], Mapping):
        raise RunError(f"{against} is not a summary.json of a run: it has no {', '.join(lacking) or 'metric'}.")
    sides = [(dict(side["metric"]), [item["measurement"] for item in side["objectives"]]) for side in (stored, now)]
    if sides[0] != sides[1]:
        raise RunError(
            f"{against} was measured as {_shown(sides[0])}, and the run as {_shown(sides[1])}: they do not compare."
        )


def _shown(side: tuple[dict[str, Any], list[str]]) -> str:
    return f"{clean(side[0].get('name'), 40)}, {side[0].get('direction')}, with {', '.join(side[1])}"


def _metric(now: Mapping[str, Any], stored: Mapping[str, Any]) -> Change:
    up = now["metric"]["direction"] == "maximize"
    value, interval = stored["best"]["metric"], stored["best"]["metric_interval"]
    limit = value if interval is None else interval[0 if up else 1]
    after = now["best"]["metric"]
    worse = after is None or (after < limit if up else after > limit)
    why = "its 95 % interval" if interval else "no interval was stored"
    return _change(str(now["metric"]["name"]), value, after, limit, worse, why, number)


def _sizes(now: Mapping[str, Any], stored: Mapping[str, Any]) -> list[Change]:
    limited = [item["measurement"] for item in (*now["objectives"], *now["budgets"])]
    names = [name for name in ("compressed_bytes", "file_bytes") if name in limited]
    return [_larger(name, stored["best"][name], now["best"][name], SIZE_SHARE, size) for name in names]


def _latencies(now: Mapping[str, Any], stored: Mapping[str, Any]) -> list[Change]:
    found = []
    for target, value in stored["best"]["latency_us"].items():
        after = now["best"]["latency_us"].get(target)
        if value is not None and after is not None:
            interval = stored["best"]["latency_interval_us"].get(target)
            share = max(LATENCY_SHARE, 0.0 if interval is None else interval[1] / value - 1)
            found.append(_larger(f"latency on {target}", value, after, share, latency))
    return found


def _speeds(now: Mapping[str, Any], stored: Mapping[str, Any]) -> list[Change]:
    """The changes of the speed relative to the baseline, which can be compared between similar machines."""
    found = []
    for target, value in stored["best"]["latency_ratio"].items():
        after = now["best"]["latency_ratio"].get(target)
        if value is not None and after is not None:
            limit = value / (1 + LATENCY_SHARE)
            found.append(
                _change(f"speed on {target}", value, after, limit, after < limit, f"{LATENCY_SHARE:.0%}", number)
            )
    return found


def _larger(name: str, before: float, after: float, share: float, show: Show) -> Change:
    limit = before * (1 + share)
    return _change(name.replace("_", " "), before, after, limit, after > limit, f"{share:.1%}", show)


def _change(name: str, before: float, after: float | None, limit: float, worse: bool, why: str, show: Show) -> Change:
    verdict = "worse" if worse else "not worse"
    now = "not measured" if after is None or not math.isfinite(after) else show(after)
    words = f"{name}: {show(before)} stored, {now} now, limit {show(limit)} ({why}): {verdict}"
    return Change(name, before, after, limit, worse, why, words)
