"""The live view of a search on standard error: a display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live as Display
from rich.spinner import Spinner
from rich.text import Text

from litetuner.reports.status import Forecast, find_forecast
from litetuner.reports.terminal.progress import live_front, model_table
from litetuner.reports.terminal.tables import doubts_panel
from litetuner.reports.terminal.trial_rows import NARROW, trial_header, trial_line
from litetuner.search.config.config import Config
from litetuner.search.config.units import format_seconds
from litetuner.search.listener import Listener, RunningTrial
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord
from litetuner.search.runs.records import Inspection
from litetuner.search.trial import State, Trial
from litetuner.spaces.errors import escaped

FRONT_ROWS = 8
ROWS_BETWEEN_TITLES = 30
LINES_BETWEEN = 10  # without a terminal, the progress is shown after every tenth trial


class ProgressState(Listener):
    """The state of a running search, for the views that show it."""

    def __init__(self) -> None:
        self.what = "starting"
        self.since = time.monotonic()
        self.in_flight: tuple[RunningTrial, ...] = ()
        self.config: Config | None = None
        self.trials: list[Trial] = []
        self.folder: RunFolder | None = None
        self.inspection: Inspection | None = None
        self.ended = ""  # why the search loop has ended; the final measurements follow
        self._elapsed = 0.0  # seconds of the run when the last trial ended
        self._last_trial = time.monotonic()
        self._budget_left: float | None = None  # seconds left of the time budget when the last trial ended

    def opened(self, folder: RunFolder, config: Config) -> None:
        self.config, self.folder, self.ended = config, folder, ""

    def doing(self, what: str) -> None:
        self.what, self.since = escaped(what), time.monotonic()

    def running(self, trials: Sequence[RunningTrial]) -> None:
        self.in_flight = tuple(trials)

    def inspected(self, inspection: Inspection) -> None:
        self.inspection, self._last_trial = inspection, time.monotonic()

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        self.trials = trials
        self.in_flight = tuple(other for other in self.in_flight if other.number != trial.number)
        self._elapsed, self._last_trial = trial.seconds_since_start, time.monotonic()
        self._budget_left = None if seconds_left == float("inf") else seconds_left

    def stopping(self, reason: str) -> None:
        self.ended = reason

    @property
    def now(self) -> list[tuple[str, str]]:
        """The current work and its duration as text: an entry for each running trial, else one for the search."""
        if self.in_flight:
            took = [time.monotonic() - trial.since for trial in self.in_flight]
            return [(escaped(t.words), format_seconds(each)) for t, each in zip(self.in_flight, took, strict=True)]
        return [(self.what, format_seconds(time.monotonic() - self.since))]

    def forecast(self) -> Forecast | None:
        """The progress of the search, ``None`` before there is a configuration.

        Final measurements are not predicted.
        """
        if self.config is None:
            return None
        since = time.monotonic() - self._last_trial
        left = None if self._budget_left is None else self._budget_left - since
        found = find_forecast(self.trials, self.config, self._elapsed + since, left)
        return found.finished() if self.ended else found

    def record(self) -> RunRecord | None:
        """The run so far as a record, so that Pareto front and picks are computed in the same way as for the result."""
        if self.config is None or self.folder is None or self.inspection is None:
            return None
        found = self.inspection
        return RunRecord(
            folder=self.folder,
            config=self.config,
            metric=found.metric,
            model=found.model,
            data=found.data,
            trials=tuple(self.trials),
            environment={},
            seconds={},
        )

    @property
    def scored(self) -> bool:
        return any(trial.state is State.COMPLETE for trial in self.trials)


class Live(ProgressState):
    """Shows the events of a search as lines on standard error; in a terminal also the Pareto front below them."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._display: Display | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._rows = 0

    def __enter__(self) -> Live:
        if self._console.is_terminal:
            self._display = Display(
                get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True
            )
            self._display.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None

    def opened(self, folder: RunFolder, config: Config) -> None:
        super().opened(folder, config)
        known = len(folder.trials())
        resumed = f" (resumes with its {known} trials; time and trial budgets are totals)" if known else ""
        self._say(f"run folder: {folder.path}{resumed}")

    def _say(self, text: str) -> None:
        self._console.print(escaped(text), markup=False, soft_wrap=True)

    @property
    def _width(self) -> int | None:
        """The width of the terminal in columns, ``None`` without a terminal: lines of a log are not wrapped."""
        return self._console.width if self._console.is_terminal else None

    def advised(self, sentence: str) -> None:
        self._say(f"note: {sentence}")

    def doing(self, what: str) -> None:
        super().doing(what)
        # During the trials, the line for each trial is enough.
        if self._display is None and (not self.trials or self.ended):
            self._say(f"... {what}")

    def interrupted(self, what: str) -> None:
        self.doing(what)
        if self._display is None and self.trials and not self.ended:
            self._say(f"... {what}")

    def inspected(self, inspection: Inspection) -> None:
        super().inspected(inspection)
        self._console.print(model_table(inspection.model, inspection.data))
        if inspection.doubts:
            self._console.print(doubts_panel(inspection.doubts))

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        super().told(trial, trials, seconds_left)
        size = "compressed_bytes" if self.config is None else self.config.size_measurement
        self._rows += 1
        if self.inspection is not None and self._rows % ROWS_BETWEEN_TITLES == 1:
            metric = self.inspection.metric
            self._say(trial_header(metric.name, metric.bounded, size, self._width))
        line = trial_line(trial, trials, size, self._width)
        if self._display is None and len(trials) % LINES_BETWEEN == 0 and (forecast := self.forecast()) is not None:
            line += f"\n... {forecast.words}"
        for part in line.split("\n"):  # ``_say`` escapes hidden characters, so our own line breaks are split before
            self._say(part)

    def stopping(self, reason: str) -> None:
        super().stopping(reason)
        self._say(f"stopped: {reason}")

    def _render(self) -> Group:
        parts: list[Any] = [Text()]
        record, forecast = self.record(), self.forecast()
        if record is not None and self.scored:
            rows = max(2, min(FRONT_ROWS, self._console.height - 12))  # as many rows as fit into the terminal
            parts += [live_front(record, rows), Text()]
        if forecast is not None and record is not None:
            between = "\n" if self._console.width < NARROW else "  "
            bar = ((forecast.bar, "cyan"), between) if forecast.bar else ()
            parts.append(Text.assemble(*bar, (forecast.words, "dim")))
        for at, (what, took) in enumerate(self.now):
            line = Text.assemble((what, "bold"), (f" ({took})", "dim"))
            if at == 0:
                self._spinner.update(text=line)
            parts.append(self._spinner if at == 0 else Text.assemble("  ", line))
        return Group(*parts)
