"""Writes the report during a search: every few minutes, between trials, in less than 1 % of the time."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence

from litetuner.reports.html.report import write_report
from litetuner.reports.status import started
from litetuner.search.config.config import Config
from litetuner.search.listener import Listener, RunningTrial
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.search.runs.records import Inspection
from litetuner.search.trial import Trial

EVERY_SECONDS = 180.0
SHARE = 0.01  # a report may take at most this share of the time since the last report


class Reporting(Listener):
    """Forwards all events, writes the report between trials, and logs the events that ``litetuner status`` shows.

    The log is ``events.jsonl``. The search loop waits while the report is written, so that no timing runs at the same
    time; this time counts as ``other``. The next report is written when the last one took less than 1 % of the time
    since then. If a report cannot be written, the search continues: the problem is shown and logged, and the report is
    tried again later.
    """

    def __init__(self, inner: Listener, now: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._now = now
        self._folder: RunFolder | None = None
        self._last = now()
        self._cost = 0.0

    def __enter__(self) -> Reporting:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._folder is not None and self._folder.path.exists():
            self._folder.note("ended")

    def opened(self, folder: RunFolder, config: Config) -> None:
        self._folder, self._last = folder, self._now()
        before = (folder.read("clock") or {}).get("seconds", {}).get("wall", 0.0)
        folder.note(
            "opened",
            pid=os.getpid(),
            host=platform.node(),
            before=before,
            ticks=time.monotonic(),
            **started(os.getpid()),
        )
        self._inner.opened(folder, config)

    def advised(self, sentence: str) -> None:
        self._inner.advised(sentence)

    def doing(self, what: str) -> None:
        if self._folder is not None:
            self._folder.note("doing", what=what)
        self._inner.doing(what)

    def running(self, trials: Sequence[RunningTrial]) -> None:
        if self._folder is not None:
            self._folder.note("running", trials=[trial.words for trial in trials])
        self._inner.running(trials)

    def interrupted(self, what: str) -> None:
        if self._folder is not None:
            self._folder.note("doing", what=what)
        self._inner.interrupted(what)

    def inspected(self, inspection: Inspection) -> None:
        self._inner.inspected(inspection)

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        self._inner.told(trial, trials, seconds_left)
        since = self._now() - self._last
        if since >= EVERY_SECONDS and self._cost <= SHARE * since:
            self._write()

    def stopping(self, reason: str) -> None:
        if self._folder is not None:
            self._folder.note("stopping", reason=reason)
        self._inner.stopping(reason)

    def _write(self) -> None:
        if self._folder is None:
            return
        started = self._now()
        try:
            path = write_report(read_run(self._folder.path))
            self._folder.note("report", path=path.name)
        except Exception as error:  # the search must not fail because of a report
            reason = f"{type(error).__name__}: {error}"
            self._folder.note("report failed", reason=reason)
            self._inner.advised(f"the report could not be written ({reason}); it will be tried again later")
        self._last = self._now()
        self._cost = self._last - started
