"""The status of a run: whether a search is running, what it is doing, and how long it will take."""

import dataclasses
import math
import platform
import time
from collections.abc import Sequence
from typing import Any

from litetuner.reports.model.sections.progress import TimeUse, find_time_use
from litetuner.reports.text.formatting import clean
from litetuner.search.clock import counted
from litetuner.search.config.config import Config
from litetuner.search.config.units import format_seconds
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial

CLOCKS = 2.0  # tolerance in seconds when two start times of a process are compared
RECENT = 12  # number of last trials whose pace predicts the remaining time
BAR = 24  # length of the progress bar in characters
MORE_THAN_ONE = 1.001  # the average number of parallel trials may exceed 1 by rounding
FIRST_ORIGINS = ("baseline", "recipe", "allocation")


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The progress of a search and its expected end.

    ``share`` is the part of the search that is done (0 to 1). ``seconds_left`` is the time until the final
    measurements. Both are ``None`` without a limit. ``counted`` is the number of trials that count towards ``wanted``.
    """

    scored: int
    counted: int
    wanted: int | None
    share: float | None
    seconds_left: float | None
    estimated: bool  # ``seconds_left`` is estimated from the pace of the last trials
    measuring_finals: bool = False

    def finished(self) -> "Forecast":
        """The forecast after the last trial. The final measurements follow, and their time is not predicted."""
        return dataclasses.replace(self, share=None, seconds_left=None, measuring_finals=True)

    @property
    def words(self) -> str:
        """``23 of 30 trials, 21 scored · about 4 min 10 s left``."""
        wanted = f"{self.counted} of {self.wanted} trials" if self.wanted is not None else f"{self.counted} trials"
        found = f"{wanted}, {self.scored} scored"
        if self.measuring_finals:
            return f"{found} · the search has ended, final measurements"
        if self.seconds_left:
            found += f" · {'about ' if self.estimated else ''}{format_seconds(self.seconds_left)} left"
        return found

    @property
    def bar(self) -> str:
        """A bar of 24 characters with the share in percent; empty without a limit."""
        if self.share is None:
            return ""
        full = round(BAR * self.share)
        return f"{'━' * full}{'╌' * (BAR - full)} {self.share:4.0%}"


def find_forecast(trials: Sequence[Trial], config: Config, elapsed: float, remaining: float | None = None) -> Forecast:
    """The forecast after ``elapsed`` seconds of the run.

    The limit on time or on trials counts, whichever is reached first. ``remaining`` are the seconds left of the time
    budget, ``None`` without one. Future trials are assumed to take as long as the last 12 trials on average.
    """
    done = counted(list(trials))
    shares: list[float] = []
    left: list[tuple[float, bool]] = []
    if remaining is not None and math.isfinite(remaining):
        remaining = max(0.0, remaining)
        whole = elapsed + remaining
        shares.append(elapsed / whole if whole else 1.0)
        left.append((remaining, False))
    if config.trials is not None:
        shares.append(min(1.0, done / config.trials))
        pace = _pace(trials)
        if pace is not None:
            left.append((max(0, config.trials - done) * pace, True))
    soonest = min(left, default=None)
    return Forecast(
        scored=sum(1 for trial in trials if trial.state.scored and trial.duplicate_of is None),
        counted=done,
        wanted=config.trials,
        share=max(shares, default=None),
        seconds_left=None if soonest is None else soonest[0],
        estimated=soonest is not None and soonest[1],
    )


def _pace(trials: Sequence[Trial]) -> float | None:
    """Average seconds for each of the last 12 trials, ``None`` if there are fewer than two. Duplicates do not count."""
    own = [trial for trial in trials if trial.duplicate_of is None and str(trial.state) != "LOST"]
    ends = sorted(trial.seconds_since_start for trial in own)[-RECENT - 1 :]  # parallel trials end in any order
    return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else None


def is_early(trials: Sequence[Trial]) -> bool:
    """True if only baselines, known recipes and allocations have run: no other strategy has proposed a trial yet."""
    return bool(trials) and all(trial.origin in FIRST_ORIGINS for trial in trials)


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """The status of a run.

    ``running`` is ``None`` if it is unknown because the search was started on another machine.
    """

    running: bool | None
    now: str | None
    trials_running: tuple[str, ...]  # the running trials, each with its current work
    reason: str | None  # why the last search stopped, if known
    seconds: float  # search time so far, over all sessions
    forecast: Forecast
    time_use: TimeUse | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "running": self.running,
            "now": self.now,
            "trials_running": list(self.trials_running),
            "stopped": self.reason,
            "trials": self.forecast.counted,
            "trials_wanted": self.forecast.wanted,
            "scored": self.forecast.scored,
            "share": self.forecast.share,
            "seconds": round(self.seconds, 1),
            "seconds_left": self.forecast.seconds_left,
            "busy_share": self.busy,
            "longest_queues": dict(self.time_use.queues) if self.time_use else {},
            "node_seconds": dict(self.time_use.nodes) if self.time_use else {},
        }

    @property
    def busy(self) -> float | None:
        """The share of time in which jobs ran, over all parallel trials."""
        use = self.time_use
        return None if use is None or use.overhead is None else round(1 - use.overhead, 3)

    @property
    def parallel_words(self) -> str:
        """``4 trials at the same time, 87 % busy, longest queues: 3 jobs for host``; empty if trials run one by one."""
        use = self.time_use
        if use is None or use.parallel <= MORE_THAN_ONE or self.busy is None:
            return ""
        found = f"{use.parallel:.3g} trials at the same time, {100 * self.busy:.0f} % busy"
        return found + (f", longest queues: {use.queue_words}" if use.queues else "")

    @property
    def words(self) -> str:
        """One line: ``running for 4 min 10 s · 12 of 50 trials, 11 scored · 6 min left · now: int8``."""
        if self.running:
            doing = [clean(text, 80) for text in self.trials_running or filter(None, [self.now])]
            now = f" · now: {'; '.join(doing)}" if doing else ""
            return f"running for {format_seconds(self.seconds)} · {self.forecast.words}{now}"
        done = f"{self.forecast.counted} trials, {self.forecast.scored} scored, in {format_seconds(self.seconds)}"
        if self.running is None:
            return f"{done} (unknown whether a search is still running on another machine)"
        return f"stopped after {done}" + (f": {clean(self.reason, 160)}" if self.reason else "")


def find_status(record: RunRecord) -> RunStatus:
    """The current status. Events are only a log: anything that they do not contain is not reported."""
    opened: dict[str, Any] | None = None
    last: dict[str, str | None] = {"doing": None, "stopping": None}
    trials: tuple[str, ...] = ()
    for event in record.folder.events():
        name = event.get("event")
        if name == "opened":
            opened, last, trials = event, {"doing": None, "stopping": None}, ()
        elif name == "ended":
            opened = None
        elif name == "running":
            trials = tuple(str(text) for text in event.get("trials") or ())
        elif name in last:
            last[name] = str(event.get("what") or event.get("reason") or "")
    running = False if opened is None else _alive(opened)
    known = max((trial.seconds_since_start for trial in record.trials), default=0.0)
    seconds = max(known, record.seconds.get("wall", 0.0))
    if running and opened is not None:
        since = time.monotonic() - ticks if (ticks := _number(opened, "ticks")) is not None else 0.0
        seconds = max(seconds, (_number(opened, "before") or 0.0) + since)
    limit = record.config.seconds
    return RunStatus(
        running=running,
        now=last["doing"] if running else None,
        trials_running=trials if running else (),
        reason=None if running else last["stopping"],
        seconds=seconds,
        forecast=find_forecast(record.trials, record.config, seconds, None if limit is None else limit - seconds),
        time_use=find_time_use(record),
    )


def started(pid: int) -> dict[str, float]:
    """When a process was started, in seconds after the boot of this machine.

    The time of day may be changed at any moment. Raises ``psutil.NoSuchProcess``.
    """
    import psutil

    return {"started": round(psutil.Process(pid).create_time() - psutil.boot_time(), 3)}


def _alive(opened: dict[str, Any]) -> bool | None:
    """True if the process that opened the run still runs, and is not another process with the same id.

    ``None`` if the process was started on another machine.
    """
    import psutil

    if opened.get("host") != platform.node():
        return None
    try:
        return abs(started(int(opened["pid"]))["started"] - float(opened["started"])) <= CLOCKS
    except (psutil.NoSuchProcess, KeyError, ValueError, TypeError):
        return False


def _number(event: dict[str, Any], name: str) -> float | None:
    """A number of an event, ``None`` if it is missing or not finite: the content of the log is not trusted."""
    value = event.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
