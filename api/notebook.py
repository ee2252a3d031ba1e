"""The live view of a search in a Jupyter notebook: one display that is updated, instead of a line for each event."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from litetuner.live import Live, ProgressState
from litetuner.reports.model.result import build_result
from litetuner.reports.notebook.html import progress_html, run_html
from litetuner.search.listener import Listener
from litetuner.search.runs.record import read_run
from litetuner.search.trial import Trial

EVERY_SECONDS = 1.0
NOTES = 5  # number of last notes that are shown


@contextlib.contextmanager
def shown_progress(progress: bool, listener: Listener | None = None) -> Iterator[Listener]:
    """The given listener, else a view for a notebook or a terminal, or no view if ``progress`` is false."""
    if listener is not None or not progress:
        yield listener or Listener()
        return
    with NotebookView() if in_notebook() else Live() as view, warnings.catch_warnings():
        # In a notebook, Optuna's progress bar warns about missing ipywidgets, although it is not used.
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield view


def in_notebook() -> bool:
    """True in a kernel whose front end shows HTML (Jupyter, Colab, VS Code), false for IPython in a terminal."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookView(ProgressState):
    """One display, updated every second: the progress, the current work, the notes, and the run so far."""

    def __init__(self) -> None:
        super().__init__()
        self._notes: list[str] = []
        self._front = ""  # HTML, made when a trial ends
        self._display: Any = None
        self._done = threading.Event()
        self._writing = threading.Lock()

    def __enter__(self) -> NotebookView:
        from IPython.display import HTML, display

        self._display = display(HTML(self._html()), display_id=True)
        # The kernel uses the context of a thread to find the cell for its output.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._follow,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._done.set()
        self._thread.join()
        if self.folder is not None and self.inspection is not None and self.folder.path.exists():
            self._front = str(run_html(build_result(read_run(self.folder.path))))  # with the final measurements
        self._show()

    def advised(self, sentence: str) -> None:
        self._notes.append(sentence)

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        super().told(trial, trials, seconds_left)
        record = self.record()
        if record is not None:
            self._front = str(run_html(build_result(record)))

    def _follow(self) -> None:
        while not self._done.wait(EVERY_SECONDS):
            self._show()

    def _show(self) -> None:
        from IPython.display import HTML

        with self._writing:
            self._display.update(HTML(self._html()))

    def _html(self) -> str:
        forecast, over = self.forecast(), self._done.is_set()
        share, words = (None, "") if forecast is None or over else (forecast.share, forecast.words)
        now = [] if over else [f"{what} ({took})" for what, took in self.now]
        doubts = self.inspection.doubts if self.inspection is not None else ()
        stopped = [f"stopped: {self.ended}"] if self.ended else []
        notes = [*(f"check the baseline: {text}" for text in doubts), *self._notes[-NOTES:], *stopped]
        return f"{progress_html(share, words, now, notes)}{self._front}"
