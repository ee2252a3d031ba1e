"""The live view of a search on standard error: a display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live as Display
from rich.text import Text

from litetuner.reports.status import Forecast, find_forecast
from litetuner.reports.terminal.progress import live_front, model_table, trial_line
from litetuner.reports.terminal.tables import doubts_panel
from litetuner.search.config.config import Config
from litetuner.search.config.units import format_seconds
from litetuner.search.listener import Listener, RunningTrial
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord
from litetuner.search.runs.records import Inspection
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import escaped

FRONT_ROWS = 8
LINES_BETWEEN = 10  # without a terminal, every tenth trial also shows the progress


class Live(Listener):
    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._display: Display | None = None
        self._doing = "starting"
        self._since = time.monotonic()
        self._running: tuple[RunningTrial, ...] = ()
        self._config: Config | None = None
        self._trials: list[Trial] = []
        self._folder: RunFolder | None = None
        self._inspection: Inspection | None = None
        self._elapsed = 0.0  # seconds of the run at the last trial
        self._last_trial = time.monotonic()
        self._budget_left: float | None = None  # at the last trial

    def __enter__(self) -> Live:
        if self._console.is_terminal:
            self._display = Display(
                get_renderable=self._render, console=self._console, refresh_per_second=2, transient=True
            )
            self._display.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None

    def opened(self, folder: RunFolder, config: Config) -> None:
        self._config, self._folder = config, folder
        known = len(folder.trials())
        resumed = f" (resumes with its {known} trials; time and trial budgets are totals)" if known else ""
        self._say(f"run folder: {folder.path}{resumed}")

    def _say(self, text: str) -> None:
        self._console.print(escaped(text), markup=False, soft_wrap=True)

    def advised(self, sentence: str) -> None:
        self._say(f"note: {sentence}")

    def doing(self, what: str) -> None:
        self._doing, self._since = escaped(what), time.monotonic()
        if self._display is None:
            self._say(f"... {what}")

    def running(self, trials: Sequence[RunningTrial]) -> None:
        self._running = tuple(trials)

    def inspected(self, inspection: Inspection) -> None:
        self._inspection, self._last_trial = inspection, time.monotonic()
        self._console.print(model_table(inspection.model, inspection.data))
        if inspection.doubts:
            self._console.print(doubts_panel(inspection.doubts))

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        self._trials = trials
        self._elapsed, self._last_trial = trial.seconds_since_start, time.monotonic()
        self._budget_left = None if seconds_left == float("inf") else seconds_left
        size = "compressed_bytes" if self._config is None else self._config.size_measurement
        line = trial_line(trial, trials, size)
        if self._display is None and self._config is not None and len(trials) % LINES_BETWEEN == 0:
            line += f"\n... {self._forecast(self._config).words}"
        self._say(line)

    def stopping(self, reason: str) -> None:
        self._say(f"stopped: {reason}")

    def _render(self) -> Group:
        parts: list[Any] = [Text()]
        record = self._record()
        if record is not None and any(trial.state is State.COMPLETE for trial in self._trials):
            rows = max(2, min(FRONT_ROWS, self._console.height - 12))  # as many as fit into the window
            parts += [live_front(record, rows), Text()]
        now = f"{self._doing} ({format_seconds(time.monotonic() - self._since)})"
        if self._config is None or record is None:
            parts.append(Text(now, style="dim"))
        else:
            forecast = self._forecast(self._config)
            parts.append(Text.assemble((forecast.bar, "cyan"), "  " if forecast.bar else "", (forecast.words, "dim")))
            for trial in self._running:
                took = f" ({format_seconds(max(0.0, time.time() - trial.since))})"
                parts.append(Text.assemble(("now  ", "dim"), (escaped(trial.words), "bold"), (took, "dim")))
            if not self._running:
                parts.append(
                    Text.assemble(("now  ", "dim"), (self._doing, "bold"), (now.removeprefix(self._doing), "dim"))
                )
        return Group(*parts)

    def _forecast(self, config: Config) -> Forecast:
        since = time.monotonic() - self._last_trial
        left = None if self._budget_left is None else self._budget_left - since
        return find_forecast(self._trials, config, self._elapsed + since, left)

    def _record(self) -> RunRecord | None:
        """The run as far as it is known here, so that front and picks are those of the result."""
        if self._config is None or self._folder is None or self._inspection is None:
            return None
        found = self._inspection
        return RunRecord(
            folder=self._folder,
            config=self._config,
            metric=found.metric,
            model=found.model,
            data=found.data,
            trials=tuple(self._trials),
            environment={},
            seconds={},
        )
