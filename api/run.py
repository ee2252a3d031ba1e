"""A run: what a search has found so far, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from litetuner.keys import BudgetKeys, RebuildKeys, with_keys

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go

    from litetuner.reports.model.comparison import Comparison
    from litetuner.reports.model.result import Result
    from litetuner.search.runs.rebuild import Rebuilt
    from litetuner.search.runs.record import RunRecord


class Run:
    """A run folder, without a path the newest one in ``runs/``. It can be read during the search, and on another machine.

    Raises ``RunError`` where the folder holds no run.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        from litetuner.search.runs.other_runs import newest_run
        from litetuner.search.runs.record import open_run

        self.path = newest_run() if path is None else Path(path)
        open_run(self.path)

    def record(self) -> RunRecord:
        """The current state of the run: trials, configuration, model and data."""
        from litetuner.search.runs.record import read_run

        return read_run(self.path)

    def summary(self) -> dict[str, Any]:
        """The contents of ``summary.json``, computed now."""
        from litetuner.reports.files.summary import summary

        return summary(self.record())

    @property
    def front(self) -> list[dict[str, Any]]:
        """The feasible non-dominated trials, a row each (as in ``summary.json``), the best metric first."""
        rows: list[dict[str, Any]] = self.summary()["front"]
        return rows

    def best(self) -> dict[str, Any] | None:
        """The row of the best trial within the budgets, ``None`` if nothing is feasible."""
        row: dict[str, Any] | None = self.summary()["best"]
        return row

    def trials_dataframe(self) -> pandas.DataFrame:
        """All trials, a row each: the columns of ``trials.csv``, typed, with ``front`` and ``picks``."""
        from litetuner.reports.notebook.frames import trials_frame

        return trials_frame(self._result())

    def front_dataframe(self) -> pandas.DataFrame:
        """The Pareto front, the best metric first, with the columns of ``trials_dataframe``."""
        from litetuner.reports.notebook.frames import front_frame

        return front_frame(self._result())

    def plot_front(self, chart: str | None = None) -> go.Figure:
        """The Pareto front as a plotly figure: the first two objectives, or another ``chart``, such as ``"size-latency"``.

        Raises ``ConfigError`` for a chart that does not exist, and lists those that do.
        """
        from litetuner.reports.notebook.figures import front_figure

        return front_figure(self._result(), chart)

    def plot_history(self) -> go.Figure:
        """The hypervolume over the time of the run as a plotly figure. Raises ``RunError`` before it has grown."""
        from litetuner.reports.notebook.figures import history_figure

        return history_figure(self._result())

    def plot_importance(self) -> go.Figure:
        """How much each choice matters as a plotly figure. Raises ``RunError`` with fewer than 20 scored trials."""
        from litetuner.reports.notebook.figures import importance_figure

        return importance_figure(self._result())

    def plot_parallel(self) -> go.Figure:
        """All scored trials in parallel coordinates as a plotly figure: their choices, then the objectives."""
        from litetuner.reports.notebook.figures import parallel_figure

        return parallel_figure(self._result())

    def plot_layers(self, trial: int | None = None) -> go.Figure:
        """The sensitivity of each layer to quantization as a plotly figure; with ``trial`` the bytes of that file's layers.

        Raises ``RunError`` where it was not measured, or the trial has no file.
        """
        from litetuner.reports.notebook.figures import layers_figure

        return layers_figure(self._result(), trial)

    @property
    def study(self) -> Any:
        """The Optuna study of the trials so far: a copy in memory, so that nothing done to it changes the run."""
        from litetuner.search.runs.dashboard import Mirror

        return Mirror(self.path).study

    def _result(self) -> Result:
        from litetuner.reports.model.result import build_result

        return build_result(self.record())

    def status(self) -> dict[str, Any]:
        """The progress of the run: is a search running, what does it do, how many trials and seconds are left."""
        from litetuner.reports.status import find_status

        return find_status(self.record()).to_json()

    def report(self) -> Path:
        """Write ``report.html``, ``trials.csv`` and ``summary.json`` into the run folder; gives the report's path."""
        from litetuner.reports.html.report import write_report

        return write_report(self.record())

    def export(
        self,
        out: Path | str,
        *,
        trial: int | None = None,
        pick: str | None = None,
        c_array: bool = False,
        metadata: bool = False,
        force: bool = False,
    ) -> Path:
        """Write a trial's ``.tflite`` with its record, provenance, model card and example into ``out``; gives its path.

        ``pick`` is one of best (the default), accurate, balanced, smallest, fastest, and with several targets robust.
        ``c_array`` adds a C array, ``metadata`` puts a short provenance inside the file, ``force`` replaces another trial's
        export in ``out``. Raises ``RunError`` where there is nothing to export.
        """
        from litetuner.reports.export.export import export

        return export(
            self.record(), trial=trial, pick=pick, out=Path(out), c_array=c_array, metadata=metadata, force=force
        )

    @with_keys(RebuildKeys)
    def rebuild(self, trial: int, out: Path | str | None = None, **how: Unpack[RebuildKeys]) -> Rebuilt:
        """Build a trial's file again from model and data, and compare; see ``litetuner.rebuild``."""
        from litetuner.rebuilding import rebuild

        record = self.record()
        record.trial(trial)
        return rebuild(record.folder.trial_folder(trial), out, **how)

    @with_keys(BudgetKeys)
    def compare(
        self, other: Run | Path | str, *, out: Path | str | None = None, **budgets: Unpack[BudgetKeys]
    ) -> Comparison:
        """Compare with the run ``other`` of the same model and data under ``budgets`` (``max_drop="1%"``), else under this run's.

        ``out`` is where a page with both fronts is written. Raises ``RunError`` for runs whose numbers do not mean the same.
        """
        from litetuner.reports.html.comparison import comparison_page
        from litetuner.reports.model.comparison import compare
        from litetuner.spaces.store import write_atomic

        against = other if isinstance(other, Run) else Run(other)
        found = compare(self.record(), against.record(), budgets)
        if out is not None:
            write_atomic(Path(out), comparison_page(found))
        return found

    def _repr_html_(self) -> str:
        """What a notebook shows of the run: the best file, the Pareto front, and where the run is."""
        from litetuner.reports.notebook.html import run_html

        return str(run_html(self._result()))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __str__(self) -> str:
        """The best file in a line, for scripts: label, metric, drop, size and latency."""
        from litetuner.reports.text.formatting import drop_words, latency, number, size

        result = self._result()
        best, metric = result.best, result.record.metric
        trials = f"{self.path}: {len(result.record.trials)} trials, {len(result.front)} on the Pareto front"
        if best is None:
            return f"{trials}; no file is within the budgets"
        drop = "" if best.drop is None else f" ({drop_words(best.drop, metric.bounded)})"
        sized = size(best.size(result.record.config.size_measurement))
        numbers = f"{metric.name} {number(best.metric)}{drop}, {sized}, {latency(best.latency_us[result.target])}"
        return f"{trials}; best is trial {best.trial}, {best.label}: {numbers}"


@with_keys(BudgetKeys)
def compare(
    first: Run | Path | str, second: Run | Path | str, *, out: Path | str | None = None, **budgets: Unpack[BudgetKeys]
) -> Comparison:
    """Compare the run ``first`` with the run ``second`` of the same model and data; see ``Run.compare``.

    ``budgets`` are by default those of the first run; ``out`` is where a page with both fronts is written.
    """
    return (first if isinstance(first, Run) else Run(first)).compare(second, out=out, **budgets)
