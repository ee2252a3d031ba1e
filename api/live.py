"""The live view of a search on standard error: a display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from litetuner.search.listener import Listener
from litetuner.search.trial import State, Trial

if TYPE_CHECKING:
    from litetuner.search.config import Config
    from litetuner.search.inspection import Inspection
    from litetuner.search.run_folder import RunFolder

FRONT_ROWS = 8


class Live(Listener):
    """A context manager that is told of the search by the loop."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._display: Any = None
        self._doing = "starting"
        self._since = time.monotonic()
        self._config: Config | None = None
        self._trials: list[Trial] = []
        self._deadline: float | None = None

    def __enter__(self) -> Live:
        from rich.live import Live as Display

        if self._console.is_terminal:
            self._display = Display(
                get_renderable=self._render, console=self._console, refresh_per_second=2, transient=True
            )
            self._display.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._display is not None:
            self._display.__exit__(*failure)
            self._display = None

    def opened(self, folder: RunFolder, config: Config) -> None:
        self._config = config
        known = len(folder.trials())
        going_on = f" (going on with its {known} trials; time and trials are totals)" if known else ""
        self._console.print(f"run folder: {folder.path}{going_on}", markup=False, soft_wrap=True)

    def doing(self, what: str) -> None:
        self._doing, self._since = what, time.monotonic()
        if self._display is None:
            self._console.print(f"... {what}", markup=False, soft_wrap=True)

    def inspected(self, inspection: Inspection) -> None:
        from litetuner.reports.progress import facts_table

        self._console.print(facts_table(inspection.model, inspection.data))

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        from litetuner.reports.progress import trial_line

        self._trials = trials
        self._deadline = None if seconds_left == float("inf") else time.monotonic() + seconds_left
        size = "deflated_bytes" if self._config is None else self._config.size_measurement
        self._console.print(trial_line(trial, size), markup=False, soft_wrap=True)

    def stopping(self, reason: str) -> None:
        self._console.print(f"stopped: {reason}", markup=False, soft_wrap=True)

    def _render(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        from litetuner.reports.progress import live_front
        from litetuner.search.units import format_seconds

        parts: list[Any] = [Text()]
        if self._config is not None and any(trial.state is State.COMPLETE for trial in self._trials):
            parts.append(live_front(self._trials, self._config, FRONT_ROWS))
        scored = sum(1 for trial in self._trials if trial.state.scored and trial.duplicate_of is None)
        clock = f"{scored} scored of {len(self._trials)} trials"
        if self._deadline is not None:
            clock += f", {format_seconds(max(0.0, self._deadline - time.monotonic()))} left"
        parts.append(
            Text(f"{clock} · now: {self._doing} ({format_seconds(time.monotonic() - self._since)})", style="dim")
        )
        return Group(*parts)
