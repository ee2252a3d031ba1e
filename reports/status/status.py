"""How a run stands: is a search at work in it, what it is doing, and how long it will still take."""

from __future__ import annotations

import dataclasses
import platform
import time
from typing import Any

from litetuner.reports.status.forecast import Forecast, find_outlook
from litetuner.reports.text.formatting import clean
from litetuner.search.config.units import format_seconds
from litetuner.search.runs.record import RunRecord

CLOCKS = 2.0  # seconds by which a process's start and an event's time may seem to be in the wrong order


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """``running`` is ``None`` where it cannot be told: the search was started on another machine."""

    running: bool | None
    now: str | None
    reason: str | None  # why the last search stopped, as far as it said
    seconds: float  # of search so far, in all sessions
    outlook: Forecast

    def to_json(self) -> dict[str, Any]:
        return {
            "running": self.running,
            "now": self.now,
            "stopped": self.reason,
            "trials": self.outlook.counted,
            "trials_wanted": self.outlook.wanted,
            "scored": self.outlook.scored,
            "share": self.outlook.share,
            "seconds": round(self.seconds, 1),
            "seconds_left": self.outlook.seconds_left,
        }

    @property
    def words(self) -> str:
        """One line: ``running for 4 min 10 s · 12 of 50 trials, 11 scored · 6 min left · now: int8``."""
        if self.running:
            now = f" · now: {clean(self.now, 80)}" if self.now else ""
            return f"running for {format_seconds(self.seconds)} · {self.outlook.words}{now}"
        done = f"{self.outlook.counted} trials, {self.outlook.scored} scored, in {format_seconds(self.seconds)}"
        if self.running is None:
            return f"{done} (whether a search is still at work on another machine cannot be seen from here)"
        return f"stopped after {done}" + (f": {clean(self.reason, 160)}" if self.reason else "")


def find_status(record: RunRecord) -> RunStatus:
    """How a run stands now. The events are a log and no truth: where they say nothing, nothing is claimed."""
    opened: dict[str, Any] | None = None
    last: dict[str, str | None] = {"doing": None, "stopping": None}
    for event in record.folder.events():
        name = event.get("event")
        if name == "opened":
            opened, last = event, {"doing": None, "stopping": None}
        elif name == "ended":
            opened = None
        elif name in last:
            last[name] = str(event.get("what") or event.get("reason") or "")
    running = False if opened is None else _alive(opened)
    told = max((trial.seconds_since_start for trial in record.trials), default=0.0)
    seconds = max(told, record.seconds.get("wall", 0.0))
    if running and opened is not None:
        seconds = max(seconds, float(opened.get("before", 0.0)) + time.time() - float(opened["time"]))
    limit = record.config.seconds
    return RunStatus(
        running=running,
        now=last["doing"] if running else None,
        reason=None if running else last["stopping"],
        seconds=seconds,
        outlook=find_outlook(record.trials, record.config, seconds, None if limit is None else limit - seconds),
    )


def _alive(opened: dict[str, Any]) -> bool | None:
    """Is the process that opened the run still there, and not another one that was given its number?"""
    import psutil

    if opened.get("host") != platform.node():
        return None
    try:
        return bool(psutil.Process(int(opened["pid"])).create_time() <= float(opened["time"]) + CLOCKS)
    except (psutil.NoSuchProcess, KeyError, ValueError, TypeError):
        return False
