"""The status of a run: is a search running in it, what is it doing, and how long will it take."""

from __future__ import annotations

import dataclasses
import platform
import time
from typing import Any

from litetuner.reports.status.forecast import Forecast, find_forecast
from litetuner.reports.text.formatting import clean
from litetuner.search.config.units import format_seconds
from litetuner.search.runs.record import RunRecord

CLOCKS = 2.0  # seconds by which the two clocks of a process start and an event may differ


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """``running`` is ``None`` where it is unknown: the search was started on another machine."""

    running: bool | None
    now: str | None
    reason: str | None  # why the last search stopped, where known
    seconds: float  # of search so far, in all sessions
    forecast: Forecast

    def to_json(self) -> dict[str, Any]:
        return {
            "running": self.running,
            "now": self.now,
            "stopped": self.reason,
            "trials": self.forecast.counted,
            "trials_wanted": self.forecast.wanted,
            "scored": self.forecast.scored,
            "share": self.forecast.share,
            "seconds": round(self.seconds, 1),
            "seconds_left": self.forecast.seconds_left,
        }

    @property
    def words(self) -> str:
        """One line: ``running for 4 min 10 s · 12 of 50 trials, 11 scored · 6 min left · now: int8``."""
        if self.running:
            now = f" · now: {clean(self.now, 80)}" if self.now else ""
            return f"running for {format_seconds(self.seconds)} · {self.forecast.words}{now}"
        done = f"{self.forecast.counted} trials, {self.forecast.scored} scored, in {format_seconds(self.seconds)}"
        if self.running is None:
            return f"{done} (unknown whether a search is still running on another machine)"
        return f"stopped after {done}" + (f": {clean(self.reason, 160)}" if self.reason else "")


def find_status(record: RunRecord) -> RunStatus:
    """The status now. Events are only a log: where they say nothing, nothing is reported."""
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
    known = max((trial.seconds_since_start for trial in record.trials), default=0.0)
    seconds = max(known, record.seconds.get("wall", 0.0))
    if running and opened is not None:
        seconds = max(seconds, float(opened.get("before", 0.0)) + time.time() - float(opened["time"]))
    limit = record.config.seconds
    return RunStatus(
        running=running,
        now=last["doing"] if running else None,
        reason=None if running else last["stopping"],
        seconds=seconds,
        forecast=find_forecast(record.trials, record.config, seconds, None if limit is None else limit - seconds),
    )


def _alive(opened: dict[str, Any]) -> bool | None:
    """Is the process that opened the run still running, and not another one with the same number?"""
    import psutil

    if opened.get("host") != platform.node():
        return None
    try:
        return bool(psutil.Process(int(opened["pid"])).create_time() <= float(opened["time"]) + CLOCKS)
    except (psutil.NoSuchProcess, KeyError, ValueError, TypeError):
        return False
